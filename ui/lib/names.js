// Whether a name for a server may be used, asked while it is typed.

import { useEffect, useState } from "../vendor/preact.js";
import { ApiError, call } from "./api.js";
import { callPart } from "./part.js";
import { nameProblem } from "./rules.js";

/**
 * @typedef {{ state: "unknown" | "free" } | { state: "refused", code: string, message: string }} Availability
 * @typedef {import("./types.js").Documents["NameView"]} NameAnswer
 */

/** A name is looked up when typing has paused for so long. */
const LOOK_UP_AFTER_MS = 250;

/** @type {Availability} */
const UNKNOWN = { state: "unknown" };

/**
 * What EMCP says of a name that keeps the rules known here.
 * @param {string} name
 * @returns {Availability}
 */
export function useAvailability(name) {
  const [known, setKnown] = useState(/** @type {{ name: string, is: Availability }} */ ({ name: "", is: UNKNOWN }));
  useEffect(() => {
    if (nameProblem(name) !== null) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      try {
        setKnown({ name, is: await lookUp(name, controller.signal) });
      } catch (error) {
        // Creating will tell.
        if (!(error instanceof ApiError) && !(error instanceof DOMException)) throw error;
      }
    }, LOOK_UP_AFTER_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [name]);
  return known.name === name && name !== "" ? known.is : UNKNOWN;
}

/**
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<Availability>}
 */
async function lookUp(name, signal) {
  /** @type {NameAnswer | null} */
  const answer = await callPart("names", "GET", `/api/names/${encodeURIComponent(name)}`, { signal });
  if (answer) return answer.available ? { state: "free" } : { state: "refused", code: answer.code ?? "", message: answer.message ?? "" };
  /** @type {{ servers: import("./types.js").Server[] }} */
  const { servers } = await call("GET", `/api/servers?q=${encodeURIComponent(name)}`, { signal });
  return servers.some((server) => server.name === name) ? { state: "refused", code: "name_taken", message: "" } : { state: "free" };
}
