// Which Python environment serves a file.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { Choice } from "./controls.js";

/** @typedef {import("../lib/types.js").Server} Server */

/** @param {{ value: Server["runtime"], onChange: (value: Server["runtime"]) => void }} props */
export function RuntimeChoice({ value, onChange }) {
  return html`<${Choice}
    label=${t("server.runtime")}
    value=${value}
    onChange=${onChange}
    options=${[
      ["auto", t("runtime.auto")],
      ["mcp1", t("runtime.mcp1")],
      ["mcp2", t("runtime.mcp2")],
    ]}
  />`;
}
