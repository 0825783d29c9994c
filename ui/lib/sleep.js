// When a server sleeps, as a form has it: in minutes, where the API has
// seconds (src/model/sleep.rs).

/**
 * @typedef {import("./types.js").SleepChoice} SleepChoice
 * @typedef {{ mode: "platform" | "never" | "after", pause: string, stop: string }} SleepDraft
 */

const LEAST_SECS = 5;
const MOST_SECS = 2_592_000;

/**
 * @param {SleepChoice | undefined} choice
 * @returns {SleepDraft}
 */
export function sleepDraft(choice) {
  const minutes = (/** @type {number | null | undefined} */ secs) => (secs ? String(secs / 60) : "");
  if (choice === "never") return { mode: "never", pause: "10", stop: "" };
  if (!choice) return { mode: "platform", pause: "10", stop: "" };
  return { mode: "after", pause: minutes(choice.pause_after_secs), stop: minutes(choice.stop_after_secs) };
}

/**
 * @param {SleepDraft} draft
 * @returns {SleepChoice}
 */
export function sleepOf({ mode, pause, stop }) {
  if (mode === "platform") return null;
  return mode === "never" ? "never" : { pause_after_secs: seconds(pause), stop_after_secs: seconds(stop) };
}

/**
 * What is wrong with it, or null.
 * @param {SleepDraft} draft
 * @returns {"range" | "none" | "order" | null}
 */
export function sleepProblem({ mode, pause, stop }) {
  if (mode !== "after") return null;
  const [pauseSecs, stopSecs] = [seconds(pause), seconds(stop)];
  const isBad = (/** @type {number | null} */ secs) => secs !== null && !(secs >= LEAST_SECS && secs <= MOST_SECS);
  if (isBad(pauseSecs) || isBad(stopSecs)) return "range";
  if (pauseSecs === null && stopSecs === null) return "none";
  return pauseSecs !== null && stopSecs !== null && stopSecs <= pauseSecs ? "order" : null;
}

/** @param {string} minutes empty for "does not happen" */
function seconds(minutes) {
  return minutes.trim() === "" ? null : Math.round(Number(minutes) * 60);
}
