// What can be done with the log above it.

import { html } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { Icon } from "./icon.js";

/** @typedef {import("../lib/log_buffer.js").LogFilter} LogFilter */
/** @typedef {import("./log_view.js").Look} Look */

/**
 * @param {{
 *   filter: LogFilter, onFilter: (filter: LogFilter) => void,
 *   look: Look, onLook: (look: Look) => void,
 *   state: import("../lib/log_stream.js").StreamState | "paused",
 *   isPaused: boolean, onPause: () => void,
 *   onClear: () => void, onDownload: () => void, isEmpty: boolean,
 * }} props
 */
export function LogBar({ filter, onFilter, look, onLook, state, isPaused, onPause, onClear, onDownload, isEmpty }) {
  return html`<div class="log-bar">
    <label class="search">
      <${Icon} name="search" />
      <input
        type="search"
        data-search
        placeholder=${t("logs.search")}
        aria-label=${t("logs.search")}
        value=${filter.text}
        onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onFilter({ ...filter, text: event.currentTarget.value })}
      />
    </label>
    <div class="log-toggles" role="group" aria-label=${t("logs.show")}>
      ${/** @type {const} */ (["stdout", "stderr"]).map(
        (stream) => html`<${Toggle} key=${stream} isOn=${filter[stream]} onToggle=${() => onFilter({ ...filter, [stream]: !filter[stream] })}>
          <code>${stream}</code>
        <//>`,
      )}
      <${Toggle} class="times" isOn=${look.hasTimes} onToggle=${() => onLook({ ...look, hasTimes: !look.hasTimes })}>${t("logs.times")}<//>
      <${Toggle} isOn=${look.isWrapped} onToggle=${() => onLook({ ...look, isWrapped: !look.isWrapped })}>${t("logs.wrap")}<//>
    </div>
    <span class="log-state" data-state=${state} role="status">${t(`logs.state.${state}`)}</span>
    <div class="row-of-buttons">
      <button type="button" class="button small" aria-pressed=${isPaused} onClick=${onPause}>
        <${Icon} name=${isPaused ? "start" : "pause"} />${isPaused ? t("logs.resume") : t("logs.pause")}
      </button>
      <button type="button" class="button small" disabled=${isEmpty} onClick=${onDownload}><${Icon} name="download" />${t("logs.download")}</button>
      <button type="button" class="button small" onClick=${onClear}><${Icon} name="close" />${t("logs.clear")}</button>
    </div>
  </div>`;
}

/** @param {{ isOn: boolean, onToggle: () => void, children: unknown, class?: string }} props */
function Toggle({ isOn, onToggle, children, class: className = "" }) {
  return html`<label class="check ${className}"><input type="checkbox" checked=${isOn} onChange=${onToggle} />${children}</label>`;
}
