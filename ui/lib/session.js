// Who is signed in. A session that ends under an open page is "expired": the
// page stays as it is below the sign-in, so that nothing typed is lost.

import { signal } from "../vendor/preact.js";
import { ApiError, call, onSignedOut } from "./api.js";

/** @typedef {import("./types.js").Caller} Caller */
/** @typedef {{ state: "out" | "expired" | "in", caller: Caller | null }} Session */

/** @type {import("../vendor/preact.js").Signal<Session>} */
export const session = signal({ state: "out", caller: null });

/**
 * Whether the caller may do this, as EMCP tells; of a server, the server says
 * (lib/servers.js).
 * @param {import("./types.js").PlatformPermission} what
 */
export function may(what) {
  return session.value.caller?.permissions.includes(what) ?? false;
}

/** Finds out whether the browser has a session already. */
export async function startSession() {
  onSignedOut(() => {
    if (session.value.state === "in") session.value = { ...session.value, state: "expired" };
  });
  try {
    /** @type {Caller & { signed_in: boolean }} */
    const caller = await call("GET", "/api/session");
    if (caller.signed_in !== false) signedIn(caller);
  } catch (error) {
    // A failure shows itself at the sign-in.
    if (!(error instanceof ApiError)) throw error;
  }
}

/** @param {string} token */
export async function signIn(token) {
  const previous = session.value.caller;
  /** @type {Caller} */
  const caller = await call("POST", "/api/session", { json: { token }, isSignIn: true });
  // What another person left open is not shown to this one.
  if (previous && previous.name !== caller.name) session.value = { state: "out", caller: null };
  signedIn(caller);
}

export async function signOut() {
  await call("DELETE", "/api/session", { isSignIn: true });
  session.value = { state: "out", caller: null };
}

/** @param {Caller} caller */
function signedIn(caller) {
  session.value = { state: "in", caller };
}
