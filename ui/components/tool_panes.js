// One tool, resource or prompt: what it takes, and what it answers.

import { html, useMemo, useState } from "../vendor/preact.js";
import { serverPath } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { draftOf, formOf, valueOf } from "../lib/schema_form.js";
import { Choice, Field } from "./controls.js";
import { Contents, JsonBlock, ResourceContent } from "./mcp_content.js";
import { SchemaForm } from "./schema_form.js";
import { Attempt, useAttempt } from "./tool_attempt.js";

/** @typedef {import("../lib/types.js").Offer} Offer */
/** @typedef {{ is_error: boolean, content: Record<string, any>[], structured_content?: unknown, duration_ms: number }} CallAnswer */
/** @typedef {{ contents: Record<string, any>[], duration_ms: number }} ReadAnswer */
/** @typedef {{ description?: string, messages: { role: string, content: any }[], duration_ms: number }} PromptAnswer */

/** @param {{ serverId: string, tool: Offer["tools"][number] }} props */
export function ToolPane({ serverId, tool }) {
  const field = useMemo(() => formOf(tool.inputSchema), [tool]);
  const [draft, setDraft] = useState(() => draftOf(field));
  const [json, setJson] = useState("{}");
  const [mode, setMode] = useState(/** @type {"form" | "json"} */ (field.kind === "group" ? "form" : "json"));
  const [problems, setProblems] = useState(/** @type {import("../lib/schema_form.js").FormProblem[]} */ ([]));
  /** @type {import("./tool_attempt.js").Attempting<CallAnswer>} */
  const attempt = useAttempt(serverPath(serverId, "/tools/call"));

  /** @param {"form" | "json"} next */
  const turn = (next) => {
    const { value } = valueOf(field, draft);
    if (next === "json") setJson(JSON.stringify(value, null, 2));
    else {
      const typed = parsed(json);
      // What the form has no field for would be lost without a word.
      if (typed.value !== undefined) setDraft(draftOf(field, typed.value));
    }
    setProblems([]);
    setMode(next);
  };
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    const typed = mode === "form" ? valueOf(field, draft) : parsed(json);
    setProblems(typed.problems);
    if (typed.problems.length === 0) void attempt.run({ name: tool.name, arguments: typed.value });
  };

  return html`<section class="panel offer-pane" aria-label=${tool.name}>
    <${PaneHead} name=${tool.name} title=${tool.title ?? tool.annotations?.title} description=${tool.description} />
    <${Annotations} annotations=${tool.annotations} />
    <form class="tool-form" onSubmit=${submit}>
      ${field.kind === "group" &&
      html`<${Choice}
        label=${t("tools.mode")}
        value=${mode}
        onChange=${turn}
        options=${[
          ["form", t("tools.mode.form")],
          ["json", "JSON"],
        ]}
      />`}
      ${mode === "form"
        ? html`<${SchemaForm} field=${field} draft=${draft} problems=${problems} onDraft=${setDraft} />`
        : html`<${Field} label=${t("tools.arguments")} problem=${problems.length > 0 ? t("tools.problem.json") : null}>
            ${(/** @type {object} */ attributes) => html`<textarea
              ...${attributes}
              class="mono"
              rows="8"
              spellcheck=${false}
              value=${json}
              onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => setJson(event.currentTarget.value)}
            ></textarea>`}
          <//>`}
      <${Attempt} attempt=${attempt} action=${t("tools.call")} onRetry=${submit} />
    </form>
    ${attempt.answer && html`<${CallResult} answer=${attempt.answer} />`}
    <details>
      <summary>${t("tools.schema")}</summary>
      <${JsonBlock} value=${tool.inputSchema} name=${`${tool.name}.input.json`} />
    </details>
    ${tool.outputSchema &&
    html`<details>
      <summary>${t("tools.outputSchema")}</summary>
      <${JsonBlock} value=${tool.outputSchema} name=${`${tool.name}.output.json`} />
    </details>`}
  </section>`;
}

/** @param {{ answer: CallAnswer }} props */
function CallResult({ answer }) {
  const hasStructure = answer.structured_content !== undefined && answer.structured_content !== null;
  const [view, setView] = useState(/** @type {"content" | "structured" | "raw"} */ ("content"));
  return html`<div class="tool-result" data-error=${answer.is_error}>
    <${Choice}
      label=${t("tools.view")}
      value=${view === "structured" && !hasStructure ? "content" : view}
      onChange=${setView}
      options=${[["content", t("tools.view.content")], ...(hasStructure ? [["structured", t("tools.view.structured")]] : []), ["raw", t("tools.view.raw")]]}
    />
    ${view === "raw"
      ? html`<${JsonBlock} value=${answer} name="answer.json" />`
      : view === "structured" && hasStructure
        ? html`<${JsonBlock} value=${answer.structured_content} name="structured.json" />`
        : html`<${Contents} content=${answer.content} />`}
  </div>`;
}

/** @param {{ serverId: string, resource: Offer["resources"][number] }} props */
export function ResourcePane({ serverId, resource }) {
  /** @type {import("./tool_attempt.js").Attempting<ReadAnswer>} */
  const attempt = useAttempt(serverPath(serverId, "/resources/read"));
  const read = () => attempt.run({ uri: resource.uri });
  return html`<section class="panel offer-pane" aria-label=${resource.uri}>
    <${PaneHead} name=${resource.uri} title=${resource.name} description=${resource.description} />
    <${Attempt} attempt=${attempt} action=${t("tools.read")} onRun=${read} onRetry=${read} />
    ${attempt.answer?.contents.map((content) => html`<${ResourceContent} resource=${content} />`)}
  </section>`;
}

/** @param {{ serverId: string, template: Offer["resource_templates"][number] }} props */
export function ResourceTemplatePane({ serverId, template }) {
  const [uri, setUri] = useState(template.uriTemplate);
  /** @type {import("./tool_attempt.js").Attempting<ReadAnswer>} */
  const attempt = useAttempt(serverPath(serverId, "/resources/read"));
  /** @param {Event} event */
  const read = (event) => {
    event.preventDefault();
    void attempt.run({ uri });
  };
  return html`<section class="panel offer-pane" aria-label=${template.uriTemplate}>
    <${PaneHead} name=${template.uriTemplate} title=${template.name} description=${template.description} />
    <form class="tool-form" onSubmit=${read}>
      <${Field} label="URI" hint=${t("tools.uriHint")}>
        ${(/** @type {object} */ attributes) => html`<input
          ...${attributes}
          class="mono"
          spellcheck=${false}
          autocomplete="off"
          value=${uri}
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setUri(event.currentTarget.value)}
        />`}
      <//>
      <${Attempt} attempt=${attempt} action=${t("tools.read")} onRetry=${read} />
    </form>
    ${attempt.answer?.contents.map((content) => html`<${ResourceContent} resource=${content} />`)}
  </section>`;
}

/** @param {{ serverId: string, prompt: Offer["prompts"][number] }} props */
export function PromptPane({ serverId, prompt }) {
  const args = prompt.arguments ?? [];
  const [typed, setTyped] = useState(/** @type {Record<string, string>} */ ({}));
  /** @type {import("./tool_attempt.js").Attempting<PromptAnswer>} */
  const attempt = useAttempt(serverPath(serverId, "/prompts/get"));
  /** @param {Event} event */
  const get = (event) => {
    event.preventDefault();
    const given = args.flatMap(({ name, required }) => (typed[name] || required ? [[name, typed[name] ?? ""]] : []));
    void attempt.run({ name: prompt.name, arguments: Object.fromEntries(given) });
  };
  return html`<section class="panel offer-pane" aria-label=${prompt.name}>
    <${PaneHead} name=${prompt.name} description=${prompt.description} />
    <form class="tool-form" onSubmit=${get}>
      ${args.map(
        ({ name, description, required }) => html`<${Field} key=${name} label=${required ? name : `${name} (${t("create.optional")})`} hint=${description}>
          ${(/** @type {object} */ attributes) => html`<textarea
            ...${attributes}
            rows="1"
            dir="auto"
            value=${typed[name] ?? ""}
            onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => setTyped({ ...typed, [name]: event.currentTarget.value })}
          ></textarea>`}
        <//>`,
      )}
      <${Attempt} attempt=${attempt} action=${t("tools.get")} onRetry=${get} />
    </form>
    ${attempt.answer?.messages.map(
      ({ role, content }) => html`<div class="prompt-message"><span class="tag">${role}</span><${Contents} content=${[content].flat()} /></div>`,
    )}
  </section>`;
}

/** @param {{ name: string, title?: string, description?: string }} props */
function PaneHead({ name, title, description }) {
  return html`<h2><bdi class="mono">${name}</bdi></h2>
    ${title && title !== name && html`<p dir="auto"><strong>${title}</strong></p>`}
    ${description && html`<p class="long-text" dir="auto">${description}</p>`}`;
}

/** @param {{ annotations?: Record<string, unknown> }} props what the server says of its tool; nobody has checked it */
function Annotations({ annotations = {} }) {
  const known = /** @type {const} */ (["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"]);
  const true_ = known.filter((hint) => annotations[hint] === true);
  if (true_.length === 0) return null;
  return html`<p class="row-of-buttons">${true_.map((hint) => html`<span class="tag">${t(`tools.hint.${hint}`)}</span>`)}</p>`;
}

/** @param {string} json */
function parsed(json) {
  try {
    return { value: JSON.parse(json || "{}"), problems: [] };
  } catch {
    return { value: undefined, problems: [{ path: "", kind: /** @type {const} */ ("json") }] };
  }
}
