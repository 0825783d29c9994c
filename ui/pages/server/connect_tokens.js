// The connect tokens of a server: made under a name, listed, revoked.

import { html, useState } from "../../vendor/preact.js";
import { Confirm, CopyBox, Failure, Field, Time } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { ApiError, call } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { refreshAll, useLive } from "../../lib/live.js";
import { freeName, TOKEN_NAME_MAX } from "../../lib/token_names.js";

/** @typedef {import("../../lib/types.js").Server} Server */
/** @typedef {import("../../lib/types.js").Token} Token */
/** @typedef {import("../../lib/types.js").Documents["CreatedToken"]} Made */

/** @param {{ server: Server, onToken: (token: string) => void }} props `onToken` gets the newest one, or "" when it is revoked */
export function ConnectTokens({ server, onToken }) {
  /** @type {import("../../lib/live.js").Live<{ tokens: Token[] }>} */
  const live = useLive(`/api/tokens?server=${encodeURIComponent(server.id)}`);
  const [made, setMade] = useState(/** @type {Made | null} */ (null));
  const [revoking, setRevoking] = useState(/** @type {Token | null} */ (null));
  const tokens = live.data.value?.tokens ?? [];
  const revoke = async () => {
    await call("DELETE", `/api/tokens/${revoking?.id}`);
    if (revoking?.id === made?.id) {
      setMade(null);
      onToken("");
    }
    setRevoking(null);
    refreshAll();
  };
  return html`
    <p>${t("connection.tokenMake")}</p>
    <${NewToken}
      server=${server}
      tokens=${tokens}
      onMade=${(/** @type {Made} */ next) => {
        setMade(next);
        onToken(next.token);
        refreshAll();
      }}
    />
    ${made &&
    html`<div class="notice good" role="status"><${Icon} name="check" /><p>${t("connection.tokenMade")}</p></div>
      <${CopyBox} text=${made.token} label=${`${t("connection.token")}: ${made.name}`} />`}
    <${Failure} error=${live.error.value} onRetry=${live.refresh} />
    ${tokens.length > 0 &&
    html`<h3>${t("connection.tokens")}</h3>
      <ul class="versions">
        ${[...tokens].reverse().map(
          (token) => html`<li key=${token.id} data-token=${token.name}>
            <span>
              <span>
                <strong>${token.name}</strong>
                ${!token.usable_in_url && html` <span class="tag">${t(token.servers === null ? "tokens.allServers" : "connection.tokenOthers")}</span>`}
              </span>
              <span class="hint">
                ${t("tokens.createdBy", { who: token.created_by })} <${Time} at=${token.created_at} />
                ${token.expires_at && html` · ${t("tokens.expires")} <${Time} at=${token.expires_at} />`}
                ${" · "}${token.last_used_at ? html`${t("tokens.lastUsed")} <${Time} at=${token.last_used_at} />` : t("tokens.neverUsed")}
              </span>
            </span>
            <button type="button" class="button small" aria-label=${`${t("tokens.revoke")}: ${token.name}`} onClick=${() => setRevoking(token)}>
              <${Icon} name="trash" />${t("tokens.revoke")}
            </button>
          </li>`,
        )}
      </ul>`}
    ${revoking &&
    html`<${Confirm}
      title=${t("tokens.revokeTitle", { name: revoking.name })}
      text=${t(revoking.usable_in_url ? "tokens.revokeText" : "connection.tokenOthersRevoke")}
      action=${t("tokens.revoke")}
      onConfirm=${revoke}
      onClose=${() => setRevoking(null)}
    />`}
  `;
}

/** @param {{ server: Server, tokens: Token[], onMade: (made: Made) => void }} props */
function NewToken({ server, tokens, onMade }) {
  const [typed, setTyped] = useState(/** @type {string | null} */ (null));
  const [taken, setTaken] = useState(/** @type {{ name: string, free: string } | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  const name = typed ?? freeName(`connect ${server.name}`, tokens.map((token) => token.name));

  /** @param {Event} [event] */
  const make = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    setTaken(null);
    try {
      /** @type {Made} */
      const made = await call("POST", "/api/tokens", { json: { name: name.trim(), role: "connect", servers: [server.id] } });
      setTyped(null);
      onMade(made);
    } catch (problem) {
      const free = problem instanceof ApiError && problem.code === "token_name_taken" ? problem.args.free : undefined;
      if (free === undefined) {
        setError(problem);
      } else {
        setTaken({ name: name.trim(), free });
        setTyped(free);
      }
    } finally {
      setBusy(false);
    }
  };
  return html`<form class="token-form" onSubmit=${make}>
    <${Field} label=${t("connection.tokenName")} hint=${t("connection.tokenNameHint")} problem=${taken && t("tokens.taken", taken)}>
      ${(/** @type {object} */ attributes) => html`<input
        ...${attributes}
        required
        maxlength=${TOKEN_NAME_MAX}
        autocomplete="off"
        value=${name}
        onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => {
          setTyped(event.currentTarget.value);
          setTaken(null);
        }}
      />`}
    <//>
    <button type="submit" class="button primary" disabled=${isBusy || name.trim() === ""}><${Icon} name="plus" />${t("connection.tokenMakeButton")}</button>
    <${Failure} error=${error} onRetry=${make} />
  </form>`;
}
