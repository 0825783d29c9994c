// What an empty editor may begin with.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ApiError } from "../lib/api.js";
import { ownWords } from "../lib/coded.js";
import { t } from "../lib/i18n.js";
import { callPart } from "../lib/part.js";
import { STARTER } from "../lib/starter.js";
import { failed } from "../lib/toasts.js";

/** @typedef {import("../lib/types.js").Template} Template */

/**
 * @param {{ wanted: string | null, onWanted: (template: Template) => void }} options `wanted` is the id of the one to begin with
 * @returns {Template[]}
 */
export function useTemplates({ wanted, onWanted }) {
  const [templates, setTemplates] = useState(/** @type {Template[]} */ ([]));
  useEffect(() => {
    const load = async () => {
      try {
        /** @type {{ templates: Template[] } | null} */
        const answer = await callPart("templates", "GET", "/api/templates");
        setTemplates(answer?.templates ?? []);
        if (wanted === null) return;
        const found = answer?.templates.find(({ id }) => id === wanted);
        if (found) onWanted(found);
        else failed(new ApiError(404, "template_not_found", ""));
      } catch (error) {
        // Without templates there is still the example.
        if (wanted !== null) failed(error, load);
      }
    };
    void load();
  }, []);
  return templates;
}

/**
 * @param {{ templates: Template[], onTemplate: (template: Template) => void, onCode: (code: string) => void }} props
 */
export function TemplateChoice({ templates, onTemplate, onCode }) {
  if (templates.length === 0) {
    return html`<button type="button" class="button small quiet" onClick=${() => onCode(STARTER)}>${t("create.starter")}</button>`;
  }
  /** @param {{ currentTarget: HTMLSelectElement }} event */
  const onChange = ({ currentTarget }) => {
    const found = templates.find(({ id }) => id === currentTarget.value);
    if (found) onTemplate(found);
  };
  return html`<select class="template-choice" aria-label=${t("create.template")} value="" onChange=${onChange}>
    <option value="">${t("create.template")}</option>
    ${templates.map(({ id, title, description }) => html`<option key=${id} value=${id} title=${ownWords(`template.${id}.about`, description)}>${ownWords(`template.${id}`, title)}</option>`)}
  </select>`;
}
