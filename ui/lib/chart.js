// The geometry of a chart. Pure.

/** @typedef {{ at: number, value: number }} Point `at` in milliseconds, rising */
/** @typedef {{ width: number, height: number, from: number, to: number, top: number }} Box */

/** Points further apart are not joined: nobody measured between them. */
const GAP_MS = 20_000;
/** The line keeps clear of the edges, where half of it would be cut. */
const MARGIN = 2;

/**
 * @param {Point[]} points
 * @param {Box} box
 */
export function linePath(points, box) {
  return runs(points, box)
    .map((run) => run.map(({ at, value }, index) => `${index === 0 ? "M" : "L"}${x(at, box)} ${y(value, box)}`).join(""))
    .join("");
}

/**
 * @param {Point[]} points
 * @param {Box} box
 */
export function areaPath(points, box) {
  return runs(points, box)
    .map((run) => {
      const line = run.map(({ at, value }) => `L${x(at, box)} ${y(value, box)}`).join("");
      return `M${x(run[0]?.at ?? 0, box)} ${box.height}${line}V${box.height}Z`;
    })
    .join("");
}

/**
 * The point measured closest to a time.
 * @param {Point[]} points
 * @param {number} at
 */
export function nearest(points, at) {
  return points.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best), points[0] ?? { at, value: 0 });
}

/**
 * The next of 1, 2 and 5 times a power of ten, as the end of a scale.
 * @param {number} value
 */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5].find((factor) => factor * unit >= value) ?? 10;
  return step * unit;
}

/**
 * What was measured without a break.
 * @param {Point[]} points
 * @param {Box} box
 */
function runs(points, box) {
  /** @type {Point[][]} */
  const found = [];
  let last = -Infinity;
  for (const point of points) {
    if (point.at < box.from) continue;
    if (point.at - last > GAP_MS) found.push([]);
    found.at(-1)?.push(point);
    last = point.at;
  }
  return found;
}

/**
 * @param {number} at
 * @param {Box} box
 */
function x(at, box) {
  return round(((at - box.from) / (box.to - box.from)) * box.width);
}

/**
 * @param {number} value
 * @param {Box} box
 */
function y(value, box) {
  return round(box.height - MARGIN - (value / box.top) * (box.height - 2 * MARGIN));
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}
