// What the server offers to its clients, to look at and to try.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { Choice, Loading } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { ReadFailure, useAgain } from "../../components/read_failure.js";
import { PromptPane, ResourcePane, ResourceTemplatePane, ToolPane } from "../../components/tool_panes.js";
import { ApiError, serverPath } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { callPart } from "../../lib/part.js";
import { act, can, isActing } from "../../lib/servers.js";

/** @typedef {import("../../lib/types.js").Server} Server */
/** @typedef {import("../../lib/types.js").Offer} Offer */
/** @typedef {"tools" | "resources" | "prompts"} Kind */

/** More than these can be searched. */
const SEARCH_FROM = 8;

/** @param {{ server: Server }} props */
export function ToolsTab({ server }) {
  const [offer, setOffer] = useState(/** @type {Offer | null} */ (null));
  const [state, setState] = useState(/** @type {"loading" | "done" | "missing"} */ ("loading"));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const isUp = server.status === "running" || server.status === "sleeping";

  /** @param {AbortSignal} [signal] */
  const load = async (signal) => {
    setState("loading");
    setError(null);
    try {
      /** @type {Offer | null} */
      const answer = await callPart("tools", "GET", serverPath(server.id, "/tools"), { signal });
      setOffer(answer);
      setState(answer ? "done" : "missing");
    } catch (problem) {
      if (signal?.aborted) return;
      setError(problem);
      setState("done");
    }
  };
  // Another run may offer other tools.
  useEffect(() => {
    if (!isUp) return undefined;
    const controller = new AbortController();
    void load(controller.signal);
    return () => controller.abort();
  }, [server.id, server.started_at, isUp]);

  // An EMCP that was just started may not have looked at the server yet.
  const isNotRunning = error instanceof ApiError && error.code === "server_not_running";
  const isEarly = isUp && isNotRunning && server.desired === "running";
  useAgain(error, isEarly, load);

  if (state === "missing") return html`<p class="hint">${t("tools.missing")}</p>`;
  if (isEarly) return html`<${Loading} what=${t("tools.asking")} />`;
  if (!isUp || isNotRunning) {
    return html`<div class="empty">
      <h2>${t("tools.notRunning")}</h2>
      <p>${t("tools.notRunningHint")}</p>
      ${can(server, "act") &&
      server.desired === "stopped" &&
      html`<button type="button" class="button primary" disabled=${isActing(server.id)} onClick=${() => act(server, "start")}>
        <${Icon} name="start" />${t("action.start")}
      </button>`}
    </div>`;
  }
  if (error) return html`<${ReadFailure} error=${error} onRetry=${() => load()} />`;
  if (!offer) return html`<${Loading} what=${t("tools.asking")} />`;
  return html`<${OfferView} serverId=${server.id} offer=${offer} isLoading=${state === "loading"} onReload=${() => load()} />`;
}

/** @param {{ serverId: string, offer: Offer, isLoading: boolean, onReload: () => void }} props */
function OfferView({ serverId, offer, isLoading, onReload }) {
  const [kind, setKind] = useState(/** @type {Kind} */ ("tools"));
  const [chosen, setChosen] = useState(/** @type {Record<Kind, number>} */ ({ tools: 0, resources: 0, prompts: 0 }));
  const [words, setWords] = useState("");
  const lists = listsOf(offer);
  const entries = lists[kind]
    .map((entry, at) => ({ ...entry, at }))
    .filter(({ name, description }) => `${name} ${description}`.toLowerCase().includes(words.toLowerCase()));
  const index = Math.min(chosen[kind], lists[kind].length - 1);
  const { server } = offer;
  return html`
    <section class="panel offer-head">
      <div class="panel-head">
        <p><bdi><strong>${server.name}</strong> ${server.version}</bdi> <span class="hint">MCP ${offer.protocol_version}</span></p>
        <button type="button" class="button small" disabled=${isLoading} onClick=${onReload}>
          <${Icon} name=${isLoading ? "building" : "restart"} />${t("tools.reload")}
        </button>
      </div>
      ${offer.instructions && html`<p class="long-text" dir="auto">${offer.instructions}</p>`}
      <${Choice}
        label=${t("tools.what")}
        value=${kind}
        onChange=${(/** @type {Kind} */ next) => {
          setKind(next);
          setWords("");
        }}
        options=${[
          ["tools", t("tools.tools", { n: lists.tools.length })],
          ["resources", t("tools.resources", { n: lists.resources.length })],
          ["prompts", t("tools.prompts", { n: lists.prompts.length })],
        ]}
      />
    </section>
    ${(offer.truncated ?? []).some(({ list }) => kindOf(list) === kind) && html`<p class="hint" role="status">${t("tools.truncated")}</p>`}
    ${lists[kind].length === 0
      ? html`<p class="hint">${t(`tools.none.${kind}`)}</p>`
      : html`<div class="offer">
          <nav class="offer-list" aria-label=${t("tools.what")}>
            ${lists[kind].length >= SEARCH_FROM &&
            html`<input
              type="search"
              data-search
              placeholder=${t("tools.search")}
              aria-label=${t("tools.search")}
              value=${words}
              onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setWords(event.currentTarget.value)}
            />`}
            ${entries.map(
              ({ name, description, at }) => html`<button
                type="button"
                key=${at}
                class="offer-entry"
                aria-pressed=${at === index}
                onClick=${() => setChosen({ ...chosen, [kind]: at })}
              >
                <bdi class="mono">${name}</bdi>
                ${description && html`<span class="hint" dir="auto">${description}</span>`}
              </button>`,
            )}
          </nav>
          <${Pane} key=${`${kind} ${index}`} serverId=${serverId} offer=${offer} kind=${kind} index=${index} />
        </div>`}
  `;
}

/** @param {{ serverId: string, offer: Offer, kind: Kind, index: number }} props */
function Pane({ serverId, offer, kind, index }) {
  const { tools, resources, resource_templates: templates, prompts } = offer;
  const tool = tools[index];
  const prompt = prompts[index];
  const resource = resources[index];
  const template = templates[index - resources.length];
  if (kind === "tools") return tool ? html`<${ToolPane} serverId=${serverId} tool=${tool} />` : null;
  if (kind === "prompts") return prompt ? html`<${PromptPane} serverId=${serverId} prompt=${prompt} />` : null;
  if (resource) return html`<${ResourcePane} serverId=${serverId} resource=${resource} />`;
  return template ? html`<${ResourceTemplatePane} serverId=${serverId} template=${template} />` : null;
}

/** @param {string} list */
function kindOf(list) {
  return list === "resource_templates" ? "resources" : list;
}

/**
 * What stands in the list of each kind.
 * @param {Offer} offer
 * @returns {Record<Kind, { name: string, description: string }[]>}
 */
function listsOf({ tools, resources, resource_templates: templates, prompts }) {
  const short = (/** @type {string | undefined} */ text) => (text ?? "").slice(0, 200);
  return {
    tools: tools.map(({ name, description }) => ({ name, description: short(description) })),
    resources: [
      ...resources.map(({ uri, name, description }) => ({ name: uri, description: short(description ?? name) })),
      ...templates.map(({ uriTemplate, name, description }) => ({ name: uriTemplate, description: short(description ?? name) })),
    ],
    prompts: prompts.map(({ name, description }) => ({ name, description: short(description) })),
  };
}
