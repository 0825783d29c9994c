// A long list, a part at a time: the next part is drawn when its end comes into
// view, so that a thousand servers cost what a screenful does.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";

const FIRST = 40;
const STEP = 40;

/**
 * @template T
 * @param {T[]} items
 * @param {string} start another start begins at the top again
 * @returns {{ shown: T[], more: unknown }} what to draw, and what to put below it
 */
export function useParts(items, start) {
  const [state, setState] = useState({ start, count: FIRST });
  const count = state.start === start ? state.count : FIRST;
  const grow = () => setState({ start, count: count + STEP });
  const more = items.length > count ? html`<${More} key=${count} shown=${count} all=${items.length} onMore=${grow} />` : null;
  return { shown: items.slice(0, count), more };
}

/** @param {{ shown: number, all: number, onMore: () => void }} props */
function More({ shown, all, onMore }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && onMore(), { rootMargin: "600px" });
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return html`<p class="more" ref=${box}>
    <span class="hint">${t("list.shown", { n: shown, all })}</span>
    <button type="button" class="button small" onClick=${onMore}>${t("list.more")}</button>
  </p>`;
}
