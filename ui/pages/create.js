// A new server.

import { html, useEffect, useMemo, useState } from "../vendor/preact.js";
import { CheckReport, hasErrors, useMarks } from "../components/check_report.js";
import { CodeInput } from "../components/code_input.js";
import { Failure, Field } from "../components/controls.js";
import { EnvEditor, newRow, rowProblem, varsOf } from "../components/env_editor.js";
import { Icon } from "../components/icon.js";
import { areLimitsGood, DEFAULT_LIMITS, EntryField, LimitFields, limitsOf } from "../components/option_fields.js";
import { ArgsField, EgressChoice, PassHeadersField, passHeadersOf, SleepFields, StorageField } from "../components/run_options.js";
import { RuntimeChoice } from "../components/runtime_choice.js";
import { TemplateChoice, useTemplates } from "../components/template_choice.js";
import { UnsavedGuard } from "../components/unsaved_guard.js";
import { ApiError, call } from "../lib/api.js";
import { argsOf, argsProblem } from "../lib/args.js";
import { useCheck } from "../lib/check.js";
import { dropDraft, keepDraft, recallDraft } from "../lib/draft.js";
import { explain } from "../lib/errors.js";
import { t } from "../lib/i18n.js";
import { storageOf, storageProblem } from "../lib/kept.js";
import { useAvailability } from "../lib/names.js";
import { go, href, route } from "../lib/router.js";
import { codeProblem, isEntryObject, nameFromFile, nameProblem } from "../lib/rules.js";
import { sleepDraft, sleepOf, sleepProblem } from "../lib/sleep.js";
import { letLeave } from "../lib/unsaved.js";

/** @typedef {import("../lib/types.js").Server} Server */
/** @typedef {import("../components/env_editor.js").Row} Row */

const DRAFT = "new";

/** @returns what the form holds before anything is typed */
function emptyForm() {
  return {
    name: "",
    description: "",
    entryObject: "",
    runtime: /** @type {Server["runtime"]} */ ("auto"),
    code: "",
    rows: /** @type {Row[]} */ ([]),
    limits: /** @type {import("../components/option_fields.js").LimitsDraft} */ ({ ...DEFAULT_LIMITS }),
    args: "",
    storage: "",
    egress: /** @type {import("../components/run_options.js").Egress} */ ("open"),
    passHeaders: "",
    sleep: sleepDraft(null),
    start: true,
  };
}

/** @typedef {ReturnType<typeof emptyForm>} Form */

export function CreatePage() {
  const kept = useMemo(() => /** @type {Form | null} */ (recallDraft(DRAFT)), []);
  const [form, setForm] = useState(() => (kept ? { ...emptyForm(), ...kept, rows: kept.rows.map((row) => newRow(row)) } : emptyForm()));
  const [isRestored, setRestored] = useState(kept !== null);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isWarned, setWarned] = useState(false);
  const [goTo, setGoTo] = useState(/** @type {import("../lib/types.js").Place | null} */ (null));
  const availability = useAvailability(form.name);
  const isCheckable = form.code.trim() !== "" && codeProblem(form.code) === null;
  const goodEntry = isEntryObject(form.entryObject) ? form.entryObject : undefined;
  const check = useCheck(isCheckable ? { code: form.code, entry_object: goodEntry, runtime: form.runtime } : null);
  const marks = useMarks(check.answer);

  /** @param {Partial<Form>} part */
  const change = (part) => {
    setForm((before) => ({ ...before, ...part }));
    setError(null);
    setWarned(false);
  };
  const isDirty = JSON.stringify(plain(form)) !== JSON.stringify(plain(emptyForm()));
  useEffect(() => {
    if (isDirty) keepDraft(DRAFT, plain(form));
    else dropDraft(DRAFT);
  }, [form, isDirty]);

  /** @param {import("../components/template_choice.js").Template} template */
  const takeTemplate = ({ id, description, code, entry_object: entryObject }) => {
    change({ code, rows: [], entryObject: entryObject === "mcp" ? "" : entryObject, description: form.description || description, name: form.name || nameFromFile(id) });
  };
  const templates = useTemplates({
    wanted: isRestored ? null : route.value.query.get("template"),
    onWanted: takeTemplate,
  });

  const badEntry = form.entryObject !== "" && !isEntryObject(form.entryObject);
  const isReady =
    nameProblem(form.name) === null &&
    availability.state !== "refused" &&
    isCheckable &&
    !badEntry &&
    argsProblem(form.args) === null &&
    storageProblem(form.storage) === null &&
    areLimitsGood(form.limits) &&
    sleepProblem(form.sleep) === null &&
    form.rows.every((row) => !rowProblem(row, form.rows));

  /** @param {{ anyway?: boolean }} [options] */
  const create = async ({ anyway = false } = {}) => {
    if (!isReady || isBusy) return;
    setBusy(true);
    setError(null);
    try {
      if (!anyway && hasErrors(await check.now())) {
        setWarned(true);
        return;
      }
      /** @type {Server} */
      const server = await call("POST", "/api/servers", { json: bodyOf(form) });
      letLeave();
      dropDraft(DRAFT);
      go(href(["servers", server.name]));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const startAnew = () => {
    setForm(emptyForm());
    setRestored(false);
    setError(null);
    setWarned(false);
  };

  return html`
    <${UnsavedGuard} isDirty=${isDirty} onLeave=${() => dropDraft(DRAFT)} />
    <div class="page-head"><h1>${t("create.title")}</h1></div>
    ${isRestored &&
    html`<div class="notice" role="status">
      <${Icon} name="restart" />
      <p>${t("create.restored")}</p>
      <button type="button" class="button small" onClick=${startAnew}>${t("create.anew")}</button>
    </div>`}
    <form
      class="create"
      onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        void create();
      }}
    >
      <section class="panel">
        <${NameField} name=${form.name} availability=${availability} error=${error} onName=${(/** @type {string} */ name) => change({ name })} />
        <${Field} label=${t("server.description")} hint=${t("create.optional")}>
          ${(/** @type {object} */ attributes) => html`<input
            ...${attributes}
            name="description"
            dir="auto"
            value=${form.description}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => change({ description: event.currentTarget.value })}
          />`}
        <//>
      </section>
      <section class="panel">
        <h2>${t("create.code")}</h2>
        <${CodeInput}
          code=${form.code}
          onCode=${(/** @type {string} */ code, /** @type {string | undefined} */ file) =>
            change(file && form.name === "" ? { code, name: nameFromFile(file) } : { code })}
          label=${t("create.code")}
          marks=${marks}
          goTo=${goTo}
          more=${form.code === "" && html`<${TemplateChoice} templates=${templates} onTemplate=${takeTemplate} onCode=${(/** @type {string} */ code) => change({ code })} />`}
        />
        <${CheckReport} check=${check} onGoTo=${setGoTo} />
        <details>
          <summary>${t("create.more")}</summary>
          <div class="options">
            <div class="columns">
              <${EntryField}
                value=${form.entryObject}
                known=${check.answer?.entry_objects ?? []}
                hint=${t("create.entryHint")}
                problem=${badEntry ? t("create.entryBad") : null}
                onChange=${(/** @type {string} */ entryObject) => change({ entryObject })}
              />
              <div class="field">
                <span class="label">${t("server.runtime")}</span>
                <${RuntimeChoice} value=${form.runtime} onChange=${(/** @type {Server["runtime"]} */ runtime) => change({ runtime })} />
                <p class="hint">${t("create.runtimeHint")}</p>
              </div>
            </div>
            <div class="columns">
              <${EgressChoice} value=${form.egress} onChange=${(/** @type {Form["egress"]} */ egress) => change({ egress })} />
              <${SleepFields} draft=${form.sleep} onDraft=${(/** @type {Form["sleep"]} */ sleep) => change({ sleep })} />
            </div>
            <div class="columns">
              <${ArgsField} text=${form.args} onText=${(/** @type {string} */ args) => change({ args })} />
              <${StorageField} draft=${form.storage} onDraft=${(/** @type {string} */ storage) => change({ storage })} />
            </div>
            <${PassHeadersField} value=${form.passHeaders} onChange=${(/** @type {string} */ passHeaders) => change({ passHeaders })} />
            <${LimitFields} draft=${form.limits} onDraft=${(/** @type {Form["limits"]} */ limits) => change({ limits })} />
          </div>
        </details>
      </section>
      <section class="panel">
        <h2>${t("tab.environment")}</h2>
        <${EnvEditor} rows=${form.rows} onRows=${(/** @type {Row[]} */ rows) => change({ rows })} />
      </section>
      <${Failure} error=${isAboutName(error) ? null : error} onRetry=${() => create({ anyway: true })} />
      ${isWarned &&
      html`<div class="notice warn" role="alert">
        <${Icon} name="error" />
        <p>${t("create.hasErrors")}</p>
        <button type="button" class="button small" disabled=${isBusy} onClick=${() => create({ anyway: true })}>${t("create.anyway")}</button>
      </div>`}
      <div class="form-end">
        <label class="check"><input type="checkbox" checked=${form.start} onChange=${() => change({ start: !form.start })} />${t("create.start")}</label>
        <button type="submit" class="button primary" disabled=${!isReady || isBusy}>${isBusy ? t("create.busy") : t("create.create")}</button>
      </div>
    </form>
  `;
}

/**
 * @param {{ name: string, availability: import("../lib/names.js").Availability, error: unknown, onName: (name: string) => void }} props
 */
function NameField({ name, availability, error, onName }) {
  const broken = name === "" ? null : nameProblem(name);
  const refusal = availability.state === "refused" ? explain(new ApiError(409, availability.code, availability.message, { field: "name" })) : null;
  return html`<${Field}
    label=${t("server.name")}
    hint=${t("create.nameHint")}
    problem=${broken ? t(`name.${broken}`) : (refusal ?? (isAboutName(error) ? explain(error) : null))}
    good=${availability.state === "free" ? t("name.free") : null}
  >
    ${(/** @type {object} */ attributes) => html`<input
      ...${attributes}
      class="mono"
      name="name"
      required
      autocomplete="off"
      autocapitalize="off"
      spellcheck=${false}
      value=${name}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onName(event.currentTarget.value)}
    />`}
  <//>`;
}

/** @param {unknown} error */
function isAboutName(error) {
  return error instanceof ApiError && error.field === "name";
}

/**
 * What of a form may be kept in the browser: secrets may not.
 * @param {Form} form
 */
function plain(form) {
  const rows = form.rows.map(({ key, value, isSecret }) => ({ key, value: isSecret ? "" : value, isSecret }));
  return { ...form, rows };
}

/** @param {Form} form */
function bodyOf(form) {
  return {
    name: form.name,
    description: form.description,
    entry_object: form.entryObject || "mcp",
    runtime: form.runtime,
    limits: limitsOf(form.limits),
    code: form.code,
    args: argsOf(form.args),
    storage: storageOf(form.storage),
    egress: form.egress,
    pass_headers: passHeadersOf(form.passHeaders),
    sleep: sleepOf(form.sleep),
    env: varsOf(form.rows),
    start: form.start,
  };
}
