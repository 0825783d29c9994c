// The console. Only the lines in view are in the page, each of the same
// height, so that a long log costs no more than a short one.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { parseAnsi } from "../lib/ansi.js";
import { t } from "../lib/i18n.js";
import { LogBuffer } from "../lib/log_buffer.js";
import { LogStream } from "../lib/log_stream.js";
import { clock, exact } from "../lib/time.js";
import { Icon } from "./icon.js";

/** As `--log-line` in styles/console.css. */
const LINE_PX = 20;
const OVERSCAN_LINES = 20;
/** How near to the end still counts as being there. */
const END_PX = LINE_PX;
/** A longer line is cut where it is shown; the text of the API has all of it. */
const LINE_MAX_CHARS = 4_000;

/** @typedef {import("../lib/types.js").LogRecord} LogRecord */

/** @param {{ serverId: string }} props */
export function LogView({ serverId }) {
  const buffer = useMemo(() => new LogBuffer(), [serverId]);
  const [state, setState] = useState(/** @type {import("../lib/log_stream.js").StreamState} */ ("connecting"));
  const [filter, setFilter] = useState(buffer.filter);
  const [isFollowing, setFollowing] = useState(true);
  const [unseen, setUnseen] = useState(0);
  const [, redraw] = useState(0);
  const console_ = useRef(/** @type {HTMLDivElement | null} */ (null));
  const following = useRef(true);
  following.current = isFollowing;

  useEffect(() => {
    const stream = new LogStream(serverId, {
      after: () => buffer.newest,
      onState: setState,
      onLines: (records) => {
        const added = buffer.append(records);
        if (!following.current) setUnseen((count) => count + added);
        redraw((count) => count + 1);
      },
    });
    return () => stream.close();
  }, [buffer]);

  useEffect(() => {
    buffer.setFilter(filter);
    redraw((count) => count + 1);
  }, [filter]);

  useLayoutEffect(() => {
    const box = console_.current;
    if (box && isFollowing) box.scrollTop = box.scrollHeight;
  });

  const onScroll = () => {
    const box = console_.current;
    if (!box) return;
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight <= END_PX;
    setFollowing(isAtEnd);
    if (isAtEnd) setUnseen(0);
    redraw((count) => count + 1);
  };
  const jump = () => {
    setFollowing(true);
    setUnseen(0);
  };
  const clear = () => {
    buffer.clear();
    jump();
    redraw((count) => count + 1);
  };

  const top = console_.current?.scrollTop ?? 0;
  const height = console_.current?.clientHeight ?? 600;
  const lines = buffer.shown;
  // While following, what is drawn is what will be in view after the scroll.
  const lastInView = isFollowing ? lines.length : Math.ceil((top + height) / LINE_PX);
  const firstInView = isFollowing ? lines.length - Math.ceil(height / LINE_PX) : Math.floor(top / LINE_PX);
  const from = Math.max(0, firstInView - OVERSCAN_LINES);
  const to = Math.min(lines.length, lastInView + OVERSCAN_LINES);

  return html`<section class="log" aria-label=${t("tab.logs")}>
    <div class="log-bar">
      <label class="search">
        <${Icon} name="search" />
        <input
          type="search"
          data-search
          placeholder=${t("logs.search")}
          aria-label=${t("logs.search")}
          value=${filter.text}
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setFilter({ ...filter, text: event.currentTarget.value })}
        />
      </label>
      <${StreamToggle} name="stdout" filter=${filter} onFilter=${setFilter} />
      <${StreamToggle} name="stderr" filter=${filter} onFilter=${setFilter} />
      <span class="log-state" data-state=${state} role="status">${t(`logs.state.${state}`)}</span>
      <button type="button" class="button small" onClick=${clear}>${t("logs.clear")}</button>
    </div>
    <div class="console" ref=${console_} tabindex="0" role="log" aria-live="off" aria-label=${t("logs.lines")} onScroll=${onScroll}>
      ${lines.length === 0 && html`<p class="console-empty">${buffer.all.length === 0 ? t("logs.none") : t("logs.noMatch")}</p>`}
      <div class="console-lines" style=${{ height: `${lines.length * LINE_PX}px` }}>
        <div class="console-window" style=${{ transform: `translateY(${from * LINE_PX}px)` }}>
          ${lines.slice(from, to).map((record) => html`<${LogLine} key=${record.seq} record=${record} />`)}
        </div>
      </div>
    </div>
    ${!isFollowing &&
    html`<button type="button" class="button primary jump" onClick=${jump}>
      <${Icon} name="down" />${unseen > 0 ? t("logs.jumpNew", { n: unseen }) : t("logs.jump")}
    </button>`}
  </section>`;
}

/**
 * @param {{ name: "stdout" | "stderr", filter: import("../lib/log_buffer.js").LogFilter, onFilter: (filter: import("../lib/log_buffer.js").LogFilter) => void }} props
 */
function StreamToggle({ name, filter, onFilter }) {
  return html`<label class="check">
    <input type="checkbox" checked=${filter[name]} onChange=${() => onFilter({ ...filter, [name]: !filter[name] })} />
    <code>${name}</code>
  </label>`;
}

/** @param {{ record: LogRecord }} props */
function LogLine({ record }) {
  return html`<div class="log-line" data-stream=${record.stream}>
    <time datetime=${record.ts} title=${exact(record.ts)}>${clock(record.ts)}</time>
    <span class="log-text"><${AnsiText} line=${record.line} /></span>
  </div>`;
}

/**
 * A line of output: text nodes only, whatever it holds.
 * @param {{ line: string }} props
 */
export function AnsiText({ line }) {
  const cut = line.length > LINE_MAX_CHARS;
  const segments = parseAnsi(cut ? line.slice(0, LINE_MAX_CHARS) : line);
  return html`${segments.map(({ text, style }) => html`<span class=${ansiClass(style)} style=${ansiStyle(style)}>${text}</span>`)}${cut &&
  html`<span class="log-cut"> ${t("logs.cut", { n: line.length - LINE_MAX_CHARS })}</span>`}`;
}

/** @param {import("../lib/ansi.js").Style} style */
function ansiClass(style) {
  const classes = [
    typeof style.fg === "number" && `fg-${style.fg}`,
    typeof style.bg === "number" && `bg-${style.bg}`,
    style.bold && "bold",
    style.dim && "dim",
    style.italic && "italic",
    style.underline && "underline",
    style.inverse && "inverse",
  ].filter(Boolean);
  return classes.length > 0 ? classes.join(" ") : undefined;
}

/** @param {import("../lib/ansi.js").Style} style */
function ansiStyle(style) {
  const color = typeof style.fg === "string" ? style.fg : undefined;
  const backgroundColor = typeof style.bg === "string" ? style.bg : undefined;
  return color || backgroundColor ? { color, backgroundColor } : undefined;
}
