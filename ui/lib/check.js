// What EMCP says about code before it runs: asked when typing pauses, and once
// more before it is sent. EMCP reads the code; it does not run it.

import { useEffect, useRef, useState } from "../vendor/preact.js";
import { callPart } from "./part.js";

/**
 * @typedef {import("./types.js").CheckAnswer} CheckAnswer
 * @typedef {import("./types.js").CheckProblem} CheckProblem
 * @typedef {import("./types.js").Documents["CheckBody"]} CheckRequest
 *
 * @typedef {object} Check
 * @property {boolean} isChecking
 * @property {CheckAnswer | null} answer for what is typed now, or shortly before
 * @property {() => Promise<CheckAnswer | null>} now for exactly what is typed; null where it cannot be checked
 */

/** A check is done when typing has paused for so long. */
const CHECK_AFTER_MS = 600;

/**
 * @param {CheckRequest | null} request null where there is nothing to check
 * @returns {Check}
 */
export function useCheck(request) {
  const [answer, setAnswer] = useState(/** @type {{ about: string, is: CheckAnswer } | null} */ (null));
  const [isChecking, setChecking] = useState(false);
  const running = useRef(/** @type {{ about: string, result: Promise<CheckAnswer | null>, controller: AbortController } | null} */ (null));
  const about = request === null ? "" : JSON.stringify(request);

  /** @returns {Promise<CheckAnswer | null>} */
  const now = async () => {
    if (request === null) return null;
    if (answer?.about === about) return answer.is;
    if (running.current?.about === about) return running.current.result;
    running.current?.controller.abort();
    const controller = new AbortController();
    const ask = async () => {
      setChecking(true);
      try {
        /** @type {CheckAnswer | null} */
        const is = await callPart("check", "POST", "/api/check", { json: request, signal: controller.signal });
        if (is && !controller.signal.aborted) setAnswer({ about, is });
        return is;
      } catch {
        // Whether the code is good is not known then; sending it will tell.
        return null;
      } finally {
        if (running.current?.controller === controller) {
          running.current = null;
          setChecking(false);
        }
      }
    };
    const result = ask();
    running.current = { about, result, controller };
    return result;
  };

  useEffect(() => {
    if (request === null) {
      setAnswer(null);
      return undefined;
    }
    const timer = setTimeout(() => void now(), CHECK_AFTER_MS);
    return () => clearTimeout(timer);
  }, [about]);
  useEffect(() => () => running.current?.controller.abort(), []);

  return { isChecking, answer: request === null ? null : (answer?.is ?? null), now };
}
