// Amounts as people read them. Pure.

export const MIB = 1024 * 1024;

/** @param {number} bytes */
export function mebibytes(bytes) {
  return `${Math.round(bytes / MIB)} MiB`;
}

/**
 * As mebibytes, or as gibibytes where those are too many.
 * @param {number} bytes
 */
export function amount(bytes) {
  const mib = bytes / MIB;
  if (mib >= 1024) return `${Number((mib / 1024).toFixed(1))} GiB`;
  return `${Number(mib.toFixed(mib < 10 ? 1 : 0))} MiB`;
}

/** @param {number} value */
export function cores(value) {
  return String(Number(value.toFixed(value < 1 ? 3 : 2)));
}

const UNITS = /** @type {const} */ ([
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
]);

/**
 * A length of time: "1 hr 30 min", "1小时30分钟".
 * @param {number} secs
 * @param {string} language
 */
export function duration(secs, language) {
  let rest = Math.round(secs);
  const parts = UNITS.flatMap(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count === 0 && !(secs < 1 && unit === "second")) return [];
    return [new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(count)];
  });
  return parts.join(language === "zh" ? "" : " ");
}
