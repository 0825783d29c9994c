// A small chart of the last minutes: a line, its area, the value under the
// pointer. Drawn as SVG by hand: two of them are all the dashboard has, they
// take the page's colours, and a library would be half of the first load.

import { html, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { clock } from "../lib/time.js";
import { areaPath, linePath, nearest, roundUp } from "../lib/chart.js";

/** @typedef {import("../lib/chart.js").Point} Point */

const WIDTH = 600;
const HEIGHT = 120;
const SPAN_MS = 10 * 60 * 1000;

/**
 * @param {{ title: string, points: Point[], words: (value: number) => string, limit?: number }} props
 */
export function Chart({ title, points, words, limit }) {
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const newest = points.at(-1);
  if (!newest) return null;
  const end = newest.at;
  const highest = Math.max(...points.map(({ value }) => value));
  const box = { width: WIDTH, height: HEIGHT, from: end - SPAN_MS, to: end, top: roundUp(highest) };
  const shown = at === null ? null : nearest(points, at);
  /** @param {PointerEvent & { currentTarget: SVGElement }} event */
  const onMove = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    setAt(box.from + ((event.clientX - left) / width) * SPAN_MS);
  };
  const x = shown && ((shown.at - box.from) / SPAN_MS) * WIDTH;
  return html`<figure class="panel chart">
    <figcaption>
      <h2>${title}</h2>
      <p class="chart-now">
        <strong>${words((shown ?? newest).value)}</strong>
        ${shown ? html` <span class="hint">${clock(new Date(shown.at).toISOString()).slice(0, 8)}</span>` : limit !== undefined && html` <span class="hint">${t("home.ofLimit", { limit: words(limit) })}</span>`}
      </p>
    </figcaption>
    <div class="chart-box">
      <span class="chart-top hint" aria-hidden="true">${words(box.top)}</span>
      <svg
        viewBox="0 0 ${WIDTH} ${HEIGHT}"
        preserveAspectRatio="none"
        role="img"
        aria-label=${t("home.chartWords", { title, now: words(newest.value), highest: words(highest) })}
        onPointerMove=${onMove}
        onPointerLeave=${() => setAt(null)}
      >
        <path class="chart-area" d=${areaPath(points, box)} />
        <path class="chart-line" d=${linePath(points, box)} />
        ${x !== null && html`<path class="chart-mark" d="M${x} 0V${HEIGHT}" />`}
      </svg>
      <p class="chart-axis hint" aria-hidden="true"><span>${t("home.tenMinutesAgo")}</span><span>${t("home.now")}</span></p>
    </div>
  </figure>`;
}
