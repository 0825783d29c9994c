// Whether this browser gets to EMCP's gate by the address that clients use.

const ANSWER_MAX_MS = 15_000;

/**
 * `elsewhere`: this page is open at another address, and its policy lets it ask
 * there only. `gate`: the gate said that a token is missing, as it should.
 * @typedef {"gate" | "other" | "nothing" | "elsewhere"} Found
 * @typedef {{ state: "good" | "bad" | "untried", found: Found, status: number }} Reached
 */

/**
 * @param {string} url
 * @returns {Promise<Reached>}
 */
export async function reach(url) {
  if (new URL(url).origin !== location.origin) return { state: "untried", found: "elsewhere", status: 0 };
  try {
    // Without the session: a client has none.
    const answer = await fetch(url, { credentials: "omit", redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(ANSWER_MAX_MS) });
    await answer.body?.cancel();
    const isGate = (answer.status === 401 && answer.headers.has("WWW-Authenticate")) || answer.status === 405;
    return { state: isGate ? "good" : "bad", found: isGate ? "gate" : "other", status: answer.status };
  } catch {
    return { state: "bad", found: "nothing", status: 0 };
  }
}
