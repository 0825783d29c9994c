// The platform's settings as lines of a list. Pure. A setting that is new to
// the dashboard is shown all the same, by its name in the API.

/** @typedef {{ key: string, kind: "plain" | "bytes" | "seconds" | "time", value: unknown }} Row */

/**
 * @param {Record<string, unknown>} settings
 * @param {string} [prefix]
 * @returns {Row[]}
 */
export function settingRows(settings, prefix = "") {
  return Object.entries(settings).flatMap(([name, value]) => {
    const key = prefix + name;
    if (Array.isArray(value)) return { key, kind: /** @type {const} */ ("plain"), value: value.join(", ") };
    if (value !== null && typeof value === "object") return settingRows(/** @type {Record<string, unknown>} */ (value), `${key}.`);
    return { key, kind: kindOf(name), value };
  });
}

/** @param {string} name */
function kindOf(name) {
  if (/bytes/.test(name)) return "bytes";
  if (name.endsWith("_secs")) return "seconds";
  return name.endsWith("_at") ? "time" : "plain";
}
