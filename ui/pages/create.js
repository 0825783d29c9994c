// A new server.

import { html, useEffect, useState } from "../vendor/preact.js";
import { CodeInput } from "../components/code_input.js";
import { Failure, Field } from "../components/controls.js";
import { EnvEditor, rowProblem, varsOf } from "../components/env_editor.js";
import { RuntimeChoice } from "../components/runtime_choice.js";
import { ApiError, call } from "../lib/api.js";
import { explain } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { go, href } from "../lib/router.js";
import { isEntryObject, nameFromFile, nameProblem } from "../lib/rules.js";
import { STARTER } from "../lib/starter.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** The name is looked up when typing has paused for so long. */
const LOOK_UP_AFTER_MS = 250;

export function CreatePage() {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [entryObject, setEntryObject] = useState("");
  const [runtime, setRuntime] = useState(/** @type {Server["runtime"]} */ ("auto"));
  const [code, setCode] = useState("");
  const [rows, setRows] = useState(/** @type {import("../components/env_editor.js").Row[]} */ ([]));
  const [start, setStart] = useState(true);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const availability = useAvailability(name);

  const ruleBroken = name === "" ? null : nameProblem(name);
  const badEntry = entryObject !== "" && !isEntryObject(entryObject);
  const isReady =
    nameProblem(name) === null && availability !== "taken" && code.trim() !== "" && !badEntry && rows.every((row) => !rowProblem(row, rows));

  /**
   * @param {string} text
   * @param {string} [fileName]
   */
  const takeCode = (text, fileName) => {
    setCode(text);
    if (fileName && name === "") setName(nameFromFile(fileName));
  };
  /** @param {Event} [event] */
  const create = async (event) => {
    event?.preventDefault();
    if (!isReady) return;
    setBusy(true);
    setError(null);
    const body = { name, description, entry_object: entryObject || "mcp", runtime, code, env: varsOf(rows), start };
    try {
      /** @type {Server} */
      const server = await call("POST", "/api/servers", { json: body });
      go(href(["servers", server.name]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const nameError = error instanceof ApiError && error.field === "name" ? explain(error) : null;

  return html`
    <div class="page-head"><h1>${t("create.title")}</h1></div>
    <form class="create" onSubmit=${create}>
      <section class="panel">
        <${Field}
          label=${t("server.name")}
          hint=${t("create.nameHint")}
          problem=${ruleBroken ? t(`name.${ruleBroken}`) : availability === "taken" ? t("name.taken") : nameError}
          good=${availability === "free" ? t("name.free") : null}
        >
          ${(/** @type {object} */ attributes) => html`<input
            ...${attributes}
            class="mono"
            name="name"
            required
            autocomplete="off"
            autocapitalize="off"
            spellcheck="false"
            value=${name}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => {
              setError(null);
              setName(event.currentTarget.value);
            }}
          />`}
        <//>
        <${Field} label=${t("server.description")} hint=${t("create.optional")}>
          ${(/** @type {object} */ attributes) => html`<input
            ...${attributes}
            name="description"
            value=${description}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setDescription(event.currentTarget.value)}
          />`}
        <//>
      </section>
      <section class="panel">
        <h2>${t("create.code")}</h2>
        <${CodeInput}
          code=${code}
          onCode=${takeCode}
          label=${t("create.code")}
          more=${code === "" && html`<button type="button" class="button small quiet" onClick=${() => setCode(STARTER)}>${t("create.starter")}</button>`}
        />
        <details>
          <summary>${t("create.more")}</summary>
          <div class="columns">
            <${Field} label=${t("server.entryObject")} hint=${t("create.entryHint")} problem=${badEntry ? t("create.entryBad") : null}>
              ${(/** @type {object} */ attributes) => html`<input
                ...${attributes}
                class="mono"
                name="entry_object"
                placeholder="mcp"
                autocomplete="off"
                spellcheck="false"
                value=${entryObject}
                onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setEntryObject(event.currentTarget.value.trim())}
              />`}
            <//>
            <div class="field">
              <span class="label">${t("server.runtime")}</span>
              <${RuntimeChoice} value=${runtime} onChange=${setRuntime} />
              <p class="hint">${t("create.runtimeHint")}</p>
            </div>
          </div>
        </details>
      </section>
      <section class="panel">
        <h2>${t("tab.environment")}</h2>
        <${EnvEditor} rows=${rows} onRows=${setRows} />
      </section>
      <${Failure} error=${nameError ? null : error} onRetry=${create} />
      <div class="form-end">
        <label class="check"><input type="checkbox" checked=${start} onChange=${() => setStart(!start)} />${t("create.start")}</label>
        <button type="submit" class="button primary" disabled=${!isReady || isBusy}>${isBusy ? t("create.busy") : t("create.create")}</button>
      </div>
    </form>
  `;
}

/**
 * Whether a name that keeps the rules is free; "unknown" until that is known.
 * @param {string} name
 * @returns {"free" | "taken" | "unknown"}
 */
function useAvailability(name) {
  const [answer, setAnswer] = useState({ name: "", isTaken: false });
  useEffect(() => {
    if (nameProblem(name) !== null) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      try {
        /** @type {{ servers: Server[] }} */
        const { servers } = await call("GET", `/api/servers?q=${name}`, { signal: controller.signal });
        setAnswer({ name, isTaken: servers.some((server) => server.name === name) });
      } catch {
        // Creating will tell.
      }
    }, LOOK_UP_AFTER_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [name]);
  if (answer.name !== name || name === "") return "unknown";
  return answer.isTaken ? "taken" : "free";
}
