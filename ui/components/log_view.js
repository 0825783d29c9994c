// The console. Only the lines in view are in the page, so that a long log
// costs no more than a short one.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { download } from "../lib/download.js";
import { language, t } from "../lib/i18n.js";
import { LineHeights } from "../lib/line_heights.js";
import { LogBuffer } from "../lib/log_buffer.js";
import { LogHistory } from "../lib/log_history.js";
import { LogStream } from "../lib/log_stream.js";
import { recall, remember } from "../lib/storage.js";
import { clock, exact } from "../lib/time.js";
import { failed } from "../lib/toasts.js";
import { AnsiText, LINE_MAX_CHARS } from "./ansi_text.js";
import { Icon } from "./icon.js";
import { LogBar } from "./log_bar.js";
import { LogReach } from "./log_reach.js";

/** As `--log-line` in styles/console.css. */
const LINE_PX = 20;
const OVERSCAN_LINES = 20;
/** How near to the end still counts as being there. */
const END_PX = LINE_PX;
/** So near to the beginning, older lines are brought. */
const BEGINNING_PX = 25 * LINE_PX;

/** @typedef {import("../lib/types.js").LogRecord} LogRecord */
/** @typedef {{ isWrapped: boolean, hasTimes: boolean }} Look */

/** @param {{ serverId: string, name: string }} props */
export function LogView({ serverId, name }) {
  const buffer = useMemo(() => new LogBuffer(), [serverId]);
  const [state, setState] = useState(/** @type {import("../lib/log_stream.js").StreamState} */ ("connecting"));
  const [filter, setFilter] = useState(buffer.filter);
  const [look, setLook] = useState(() => ({ isWrapped: recall("log.wrap") === "on", hasTimes: recall("log.times") !== "off" }));
  const [isFollowing, setFollowing] = useState(true);
  const [unseen, setUnseen] = useState(0);
  const [round, redraw] = useState(0);
  const following = useRef(true);
  following.current = isFollowing;
  const drawAgain = () => redraw((count) => count + 1);
  const history = useMemo(() => new LogHistory(serverId, buffer, drawAgain), [buffer]);

  useEffect(() => {
    const stream = new LogStream(serverId, {
      after: () => buffer.newest,
      onState: (next) => {
        setState(next);
        if (next === "open") void history.look();
      },
      onRestart: () => buffer.restart(),
      onLines: (records) => {
        const added = buffer.append(records);
        if (!following.current) setUnseen((count) => count + added);
        history.oldest ??= records[0];
        drawAgain();
      },
    });
    return () => {
      stream.close();
      history.close();
    };
  }, [buffer]);

  useLayoutEffect(() => {
    buffer.setFilter(filter);
    history.filterChanged();
    drawAgain();
  }, [filter]);

  /** @param {boolean} atEnd */
  const follow = (atEnd) => {
    setFollowing(atEnd);
    if (atEnd) setUnseen(0);
  };
  const togglePause = () => {
    if (buffer.held) {
      buffer.resume();
      follow(true);
    } else {
      buffer.pause();
    }
    drawAgain();
  };
  const clear = () => {
    buffer.clear();
    follow(true);
    drawAgain();
  };
  /** @param {Look} next */
  const changeLook = (next) => {
    remember("log.wrap", next.isWrapped ? "on" : "off");
    remember("log.times", next.hasTimes ? "on" : "off");
    setLook(next);
  };
  const save = async () => {
    try {
      download(`${name}.log`, [await history.text()], "text/plain;charset=utf-8");
    } catch (error) {
      failed(error, save);
    }
  };

  const isPaused = buffer.held !== null;
  const waiting = isPaused ? (buffer.held?.length ?? 0) : unseen;
  return html`<section class="log" aria-label=${t("tab.logs")}>
    <${LogBar}
      filter=${filter}
      onFilter=${setFilter}
      look=${look}
      onLook=${changeLook}
      state=${isPaused ? "paused" : state}
      isPaused=${isPaused}
      onPause=${togglePause}
      onClear=${clear}
      onDownload=${save}
      isEmpty=${buffer.newest === 0 && !history.oldest}
    />
    <${LogReach} buffer=${buffer} history=${history} round=${round} />
    <${Lines}
      buffer=${buffer}
      look=${look}
      search=${filter.text}
      isFollowing=${isFollowing}
      onFollow=${follow}
      onBeginning=${() => !history.error && void history.load()}
      empty=${emptyWords(buffer, history, state)}
    />
    ${(!isFollowing || isPaused) &&
    html`<button type="button" class="button primary jump" onClick=${isPaused ? togglePause : () => follow(true)}>
      <${Icon} name="down" />${waiting > 0 ? t("logs.jumpNew", { n: waiting }) : t("logs.jump")}
    </button>`}
  </section>`;
}

/**
 * What stands where no line is shown: that there is none is said only when that
 * is known.
 * @param {LogBuffer} buffer
 * @param {LogHistory} history
 * @param {import("../lib/log_stream.js").StreamState} state
 */
function emptyWords(buffer, history, state) {
  if (state === "lost") return t("fresh.away");
  if (history.error && history.oldest === undefined) return t("logs.unknown");
  if (buffer.isCleared) return t("logs.cleared");
  if (history.oldest === null) return t("logs.none");
  if (!buffer.isNarrow || history.oldest === undefined) return t("page.loading");
  return buffer.mayHaveOlder ? t("logs.searching") : t("logs.noMatch");
}

/**
 * @param {{
 *   buffer: LogBuffer, look: Look, search: string, empty: string,
 *   isFollowing: boolean, onFollow: (atEnd: boolean) => void, onBeginning: () => void,
 * }} props
 */
function Lines({ buffer, look, search, empty, isFollowing, onFollow, onBeginning }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const drawn = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [size, setSize] = useState({ width: 0, height: 600 });
  const [, redraw] = useState(0);
  const heights = useHeights(buffer, look, size.width);
  const lines = buffer.shown;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // While following, what is drawn is what will be in view after the scroll.
  const top = isFollowing ? Math.max(0, heights.total - size.height) : (box.current?.scrollTop ?? 0) - heights.takeRemoved();
  const from = Math.max(0, heights.indexAt(Math.max(0, top)) - OVERSCAN_LINES);
  const to = Math.min(lines.length, heights.indexAt(top + size.height) + 1 + OVERSCAN_LINES);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    // Where the lines above the view turned out higher than was thought, the
    // view moves with them: what is read stays where it is.
    const { changed, above } = look.isWrapped ? measure(drawn.current, heights, from, top) : { changed: false, above: 0 };
    if (isFollowing) element.scrollTop = element.scrollHeight;
    else if (Math.abs(element.scrollTop - (top + above)) >= 1) element.scrollTop = top + above;
    if (changed) redraw((count) => count + 1);
  });
  // A view that was cleared stays so until somebody asks for more.
  const isAtBeginning = top <= BEGINNING_PX && !buffer.isCleared && (lines.length > 0 || buffer.isNarrow);
  useEffect(() => {
    if (isAtBeginning) onBeginning();
  });

  const onScroll = () => {
    const element = box.current;
    if (!element) return;
    onFollow(element.scrollHeight - element.scrollTop - element.clientHeight <= END_PX);
    redraw((count) => count + 1);
  };
  // Lines that come in the same moment must not pull the view back down.
  const onUpwards = () => {
    if (box.current && box.current.scrollTop > 0) onFollow(false);
  };

  return html`<div
    class=${`console${look.isWrapped ? " wrapped" : ""}${look.hasTimes ? "" : " timeless"}`}
    ref=${box}
    tabindex="0"
    role="log"
    aria-live="off"
    aria-label=${t("logs.lines")}
    onScroll=${onScroll}
    onWheel=${(/** @type {WheelEvent} */ event) => event.deltaY < 0 && onUpwards()}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && onUpwards()}
  >
    ${lines.length === 0 && html`<p class="console-empty">${empty}</p>`}
    <div class="console-lines" style=${{ height: `${heights.total}px` }}>
      <div class="console-window" ref=${drawn} style=${{ transform: `translateY(${heights.top(from)}px)` }}>
        ${lines.slice(from, to).map((record) => html`<${LogLine} key=${record.seq} record=${record} search=${search} />`)}
      </div>
    </div>
  </div>`;
}

/** The heights of the shown lines, and by how much lines before them came or went. */
class ShownHeights extends LineHeights {
  constructor() {
    super();
    this.about = "";
    this.dropped = 0;
    this.prepended = 0;
    this.removed = 0;
  }

  /** @returns {number} once for each change; less than 0 where lines came */
  takeRemoved() {
    const { removed } = this;
    this.removed = 0;
    return removed;
  }
}

/**
 * @param {LogBuffer} buffer
 * @param {Look} look
 * @param {number} width
 */
function useHeights(buffer, look, width) {
  const heights = useMemo(() => new ShownHeights(), [buffer]);
  const columns = look.isWrapped ? columnsIn(width, look) : Infinity;
  const about = `${buffer.revision} ${columns}`;
  const heightAt = (/** @type {number} */ index) => heightOf(buffer.shown[index]?.line ?? "", columns);
  if (heights.about !== about || heights.dropped !== buffer.droppedShown) {
    heights.removed += heights.about === about ? heights.top(buffer.droppedShown - heights.dropped) : 0;
    heights.about = about;
    heights.dropped = buffer.droppedShown;
    heights.prepended = buffer.prependedShown;
    heights.clear();
  } else if (heights.prepended !== buffer.prependedShown) {
    const count = buffer.prependedShown - heights.prepended;
    heights.removed -= heights.prepend(Array.from({ length: count }, (_, index) => heightAt(index)));
    heights.prepended = buffer.prependedShown;
  }
  for (let index = heights.count; index < buffer.shown.length; index += 1) {
    heights.push(heightAt(index));
  }
  return heights;
}

/**
 * A good guess of a line's height, until it is in view and measured.
 * @param {string} line
 * @param {number} columns
 */
function heightOf(line, columns) {
  return LINE_PX * Math.max(1, Math.ceil(Math.min(line.length, LINE_MAX_CHARS) / columns));
}

/** @type {number} */
let charPx = 0;

/**
 * How many characters have room beside the time.
 * @param {number} width
 * @param {Look} look
 */
function columnsIn(width, look) {
  if (charPx === 0) {
    const context = document.createElement("canvas").getContext("2d");
    if (context) context.font = `13px ${getComputedStyle(document.documentElement).getPropertyValue("--mono")}`;
    charPx = context?.measureText("0").width || 8;
  }
  const chars = Math.floor((width - 2 * 14.4) / charPx) - (look.hasTimes ? 14 : 0);
  return Math.max(20, chars);
}

/**
 * Takes over the real heights of what is drawn.
 * @param {HTMLDivElement | null} drawn
 * @param {LineHeights} heights
 * @param {number} from the first line drawn
 * @param {number} top where the view begins
 */
function measure(drawn, heights, from, top) {
  let changed = false;
  let above = 0;
  const firstInView = heights.indexAt(Math.max(0, top));
  for (const [offset, line] of [...(drawn?.children ?? [])].entries()) {
    const grown = heights.set(from + offset, /** @type {HTMLElement} */ (line).offsetHeight);
    changed ||= grown !== 0;
    if (from + offset < firstInView) above += grown;
  }
  return { changed, above };
}

/** @param {{ record: LogRecord, search: string }} props */
function LogLine({ record, search }) {
  // The same result again spares the comparison with what is drawn.
  return useMemo(
    () => html`<div class="log-line" data-stream=${record.stream} data-seq=${record.seq}>
      <time datetime=${record.ts} title=${exact(record.ts)}>${clock(record.ts)}</time>
      <span class="log-text"><${AnsiText} line=${record.line} search=${search} /></span>
    </div>`,
    [record, search, language.value],
  );
}
