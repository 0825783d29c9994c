// Signing in with a token: as a page, and as a form above a page whose session
// has ended.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Failure, Field } from "../components/controls.js";
import { ApiError } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { signIn } from "../lib/session.js";

export function SignInPage() {
  return html`<main class="sign-in">
    <div class="panel">
      <img src="/icons/emcp.svg" alt="" width="44" height="44" />
      <h1>${t("session.title")}</h1>
      <p>${t("session.lead")}</p>
      <${SignInForm} />
    </div>
  </main>`;
}

export function SignInForm() {
  const [token, setToken] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => input.current?.focus(), []);

  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await signIn(token);
    } catch (problem) {
      setError(problem);
      setBusy(false);
      input.current?.select();
    }
  };
  const isWrong = error instanceof ApiError && error.status === 401;

  return html`<form onSubmit=${submit}>
    <${Field} label=${t("session.token")} hint=${t("session.tokenHint")} problem=${isWrong ? t("session.wrong") : null}>
      ${(/** @type {object} */ attributes) => html`<input
        ...${attributes}
        ref=${input}
        class="mono"
        type="password"
        name="token"
        autocomplete="current-password"
        required
        value=${token}
        onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setToken(event.currentTarget.value)}
      />`}
    <//>
    ${!isWrong && html`<${Failure} error=${error} />`}
    <button type="submit" class="button primary wide" disabled=${isBusy || token.trim() === ""}>${t("session.signIn")}</button>
  </form>`;
}
