// What all servers together use, over the last minutes.

import { html, useEffect, useMemo, useRef } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { usage } from "../lib/live.js";
import { joined } from "../lib/overview.js";
import { amount, cores, MIB } from "../lib/units.js";
import { Chart } from "./chart.js";

/** @typedef {import("../lib/types.js").Overview} Overview */

/** @param {{ overview: Overview }} props */
export function UsageCharts({ overview }) {
  const seen = useRef(/** @type {import("../lib/overview.js").Sample[]} */ ([]));
  const now = usage.value;
  // The answer has the last minutes; what the stream tells comes on top.
  useEffect(() => {
    if (now) seen.current = joined(seen.current, [now]);
  }, [now]);
  const samples = useMemo(() => joined(joined(overview.history ?? [], seen.current), now ? [now] : []), [overview.history, now]);
  if (samples.length === 0) return null;
  const limit = (now ?? overview.usage)?.memory_limit_bytes;
  const points = (/** @type {(sample: import("../lib/overview.js").Sample) => number} */ value) =>
    samples.map((sample) => ({ at: Date.parse(sample.at), value: value(sample) }));
  return html`<div class="columns charts">
    <${Chart} title=${t("home.cpu")} points=${points((sample) => sample.cpu_cores)} words=${coresInWords} />
    <${Chart}
      title=${t("home.memory")}
      points=${points((sample) => sample.memory_bytes / MIB)}
      words=${(/** @type {number} */ value) => amount(value * MIB)}
      limit=${limit ? limit / MIB : undefined}
    />
  </div>`;
}

/** @param {number} value */
function coresInWords(value) {
  const n = cores(value);
  return n === "1" ? t("home.core") : t("home.cores", { n });
}
