// A form made from a JSON Schema; see lib/schema_form.js.

import { html, useId } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { draftOf, partOf } from "../lib/schema_form.js";
import { Icon } from "./icon.js";

/** @typedef {import("../lib/schema_form.js").FormField} FormField */
/** @typedef {import("../lib/schema_form.js").Draft} Draft */
/** @typedef {import("../lib/schema_form.js").FormProblem} FormProblem */

/**
 * @typedef {object} PartProps
 * @property {FormField} field
 * @property {string} name
 * @property {string} path
 * @property {Draft} draft
 * @property {FormProblem[]} problems
 * @property {(draft: Draft) => void} onDraft
 */

/** @param {Omit<PartProps, "name" | "path">} props the field is a group */
export function SchemaForm({ field, draft, problems, onDraft }) {
  if (field.fields.length === 0) return html`<p class="hint">${t("tools.noArguments")}</p>`;
  return html`<div class="schema-form"><${Fields} field=${field} path="" draft=${draft} problems=${problems} onDraft=${onDraft} /></div>`;
}

/** @param {Omit<PartProps, "name">} props */
function Fields({ field, path, draft, problems, onDraft }) {
  return html`${field.fields.map(
    ([name, part]) => html`<${Part}
      key=${name}
      field=${part}
      name=${name}
      path=${`${path}/${name}`}
      draft=${partOf(draft, name, part)}
      problems=${problems}
      onDraft=${(/** @type {Draft} */ next) => onDraft({ .../** @type {object} */ (draft), [name]: next })}
    />`,
  )}`;
}

/** @param {PartProps} props */
function Part(props) {
  const { field, name, path, draft, problems, onDraft } = props;
  if (field.kind === "group") {
    return html`<fieldset class="schema-group">
      <legend><${PartName} field=${field} name=${name} /></legend>
      <${PartHint} field=${field} />
      <${Fields} field=${field} path=${path} draft=${draft} problems=${problems} onDraft=${onDraft} />
    </fieldset>`;
  }
  if (field.kind === "list") return html`<${List} ...${props} />`;
  return html`<${Single} ...${props} />`;
}

/** @param {PartProps} props */
function List({ field, name, path, draft, problems, onDraft }) {
  const drafts = Array.isArray(draft) ? draft : [];
  const { item } = field;
  if (!item) return null;
  return html`<fieldset class="schema-group">
    <legend><${PartName} field=${field} name=${name} /></legend>
    <${PartHint} field=${field} />
    ${drafts.map(
      (one, at) => html`<div class="schema-item" key=${at}>
        <${Part}
          field=${item}
          name=${`${name} ${at + 1}`}
          path=${`${path}/${at}`}
          draft=${one}
          problems=${problems}
          onDraft=${(/** @type {Draft} */ next) => onDraft(drafts.map((other, index) => (index === at ? next : other)))}
        />
        <button
          type="button"
          class="button icon-only quiet"
          aria-label=${`${t("action.remove")}: ${name} ${at + 1}`}
          onClick=${() => onDraft(drafts.filter((_, index) => index !== at))}
        >
          <${Icon} name="trash" />
        </button>
      </div>`,
    )}
    <button type="button" class="button small" aria-label=${`${t("tools.addItem")}: ${name}`} onClick=${() => onDraft([...drafts, draftOf(item)])}>
      <${Icon} name="plus" />${t("tools.addItem")}
    </button>
  </fieldset>`;
}

/** @param {PartProps} props */
function Single({ field, name, path, draft, problems, onDraft }) {
  const id = useId();
  const problem = problems.find((one) => one.path === path);
  const value = typeof draft === "string" ? draft : "";
  const attributes = { id, "aria-describedby": `${id}-words`, "aria-invalid": Boolean(problem) };
  const onInput = (/** @type {{ currentTarget: { value: string } }} */ event) => onDraft(event.currentTarget.value);
  return html`<div class="field">
    <label for=${id}><${PartName} field=${field} name=${name} /></label>
    ${control(field, { ...attributes, value, onInput })}
    <div id="${id}-words"><${PartHint} field=${field} />${problem && html`<p class="hint bad" role="alert">${t(`tools.problem.${problem.kind}`)}</p>`}</div>
  </div>`;
}

/**
 * @param {FormField} field
 * @param {{ id: string, value: string, onInput: (event: any) => void }} attributes
 */
function control(field, attributes) {
  const { value } = attributes;
  const nothing = field.isRequired && !field.isNullable ? null : html`<option value="">${field.isRequired ? "null" : t("tools.leftOut")}</option>`;
  switch (field.kind) {
    case "boolean":
      return html`<select ...${attributes}>
        ${nothing}
        <option value="true" selected=${value === "true"}>true</option>
        <option value="false" selected=${value === "false"}>false</option>
      </select>`;
    case "choice":
      return html`<select ...${attributes}>
        ${nothing}
        ${field.options.map((option, at) => html`<option value=${String(at)} selected=${value === String(at)}>${typeof option === "string" ? option : JSON.stringify(option)}</option>`)}
      </select>`;
    case "json":
      return html`<textarea ...${attributes} class="mono" rows="4" spellcheck=${false} placeholder="JSON"></textarea>`;
    case "number":
    case "integer":
      // Not type=number, in which browsers hide what they cannot read.
      return html`<input ...${attributes} class="mono" inputmode=${field.kind === "integer" ? "numeric" : "decimal"} autocomplete="off" />`;
    default:
      // A tool's text may have several lines.
      return html`<textarea ...${attributes} rows=${field.isLong || value.includes("\n") ? 5 : 1} spellcheck=${false} dir="auto"></textarea>`;
  }
}

/** @param {{ field: FormField, name: string }} props */
function PartName({ field, name }) {
  return html`<bdi class="mono">${name}</bdi> ${!field.isRequired && html`<span class="hint">${t("create.optional")}</span>`}`;
}

/** @param {{ field: FormField }} props */
function PartHint({ field }) {
  const type = field.kind === "choice" ? "" : t(`tools.kind.${field.kind}`);
  const facts = [type, field.isNullable && t("tools.orNull"), field.rule].filter(Boolean).join(" · ");
  return html`${field.description && html`<p class="schema-words" dir="auto">${field.description}</p>`}${facts && html`<p class="hint" dir="auto">${facts}</p>`}`;
}
