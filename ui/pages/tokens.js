// Access tokens: all of them for administrators, for developers those they made.

import { html, useState } from "../vendor/preact.js";
import { Confirm, CopyBox, Dialog, Failure, Field, Loading, Time } from "../components/controls.js";
import { Icon } from "../components/icon.js";
import { ApiError, call } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { refreshAll, useLive } from "../lib/live.js";
import { can } from "../lib/servers.js";
import { may, session } from "../lib/session.js";

/** @typedef {import("../lib/types.js").Token} Token */
/** @typedef {import("../lib/types.js").Role} Role */
/** @typedef {import("../lib/types.js").Server} Server */

const ROLES = /** @type {const} */ (["connect", "viewer", "developer", "admin"]);
const DAYS = /** @type {const} */ ([0, 7, 30, 90, 365]);
const DAY_MS = 24 * 60 * 60 * 1000;

export function TokensPage() {
  /** @type {import("../lib/live.js").Live<{ tokens: Token[] }>} */
  const live = useLive("/api/tokens");
  /** @type {import("../lib/live.js").Live<{ servers: Server[] }>} */
  const servers = useLive("/api/servers");
  const [isCreating, setCreating] = useState(false);
  const [revoking, setRevoking] = useState(/** @type {Token | null} */ (null));
  const tokens = live.data.value?.tokens;
  const known = servers.data.value?.servers ?? [];
  const revoke = async () => {
    await call("DELETE", `/api/tokens/${revoking?.id}`);
    setRevoking(null);
    refreshAll();
  };
  return html`
    <div class="page-head">
      <h1>${t("nav.tokens")}</h1>
      <button type="button" class="button primary" onClick=${() => setCreating(true)}><${Icon} name="plus" />${t("tokens.new")}</button>
    </div>
    <p class="lead">${t(may("administer") ? "tokens.lead" : "tokens.leadDeveloper")}</p>
    <${Roles} />
    <${Failure} error=${live.error.value} onRetry=${live.refresh} />
    ${!tokens || !servers.data.value
      ? !live.error.value && html`<${Loading} />`
      : tokens.length === 0
        ? html`<div class="empty"><h2>${t("tokens.none")}</h2></div>`
        : html`<ul class="tokens">
            ${[...tokens].reverse().map(
              (token) => html`<li key=${token.id} class="panel" data-token=${token.name}>
                <div>
                  <h2>${token.name}</h2>
                  <p><span class="tag">${t(`role.${token.role}`)}</span> ${token.role === "connect" && namesOf(token, known)}${token.usable_in_url && html` <span class="hint">· ${t("tokens.inUrl")}</span>`}</p>
                  <p class="hint">
                    ${t("tokens.createdBy", { who: token.created_by })} <${Time} at=${token.created_at} /> ·${" "}
                    ${token.expires_at ? html`${t("tokens.expires")} <${Time} at=${token.expires_at} />` : t("tokens.noExpiry")}
                    ${token.last_used_at !== undefined && html` · ${token.last_used_at ? html`${t("tokens.lastUsed")} <${Time} at=${token.last_used_at} />` : t("tokens.neverUsed")}`}
                  </p>
                </div>
                <button type="button" class="button small" aria-label=${`${t("tokens.revoke")}: ${token.name}`} onClick=${() => setRevoking(token)}>
                  <${Icon} name="trash" />${t("tokens.revoke")}
                </button>
              </li>`,
            )}
          </ul>`}
    ${isCreating && html`<${CreateDialog} servers=${known} onClose=${() => setCreating(false)} />`}
    ${revoking &&
    html`<${Confirm}
      title=${t("tokens.revokeTitle", { name: revoking.name })}
      text=${t("tokens.revokeText")}
      action=${t("tokens.revoke")}
      onConfirm=${revoke}
      onClose=${() => setRevoking(null)}
    />`}
  `;
}

/** Who may do what. */
function Roles() {
  return html`<details class="roles">
    <summary>${t("tokens.roles")}</summary>
    <dl>
      ${ROLES.map((role) => html`<div key=${role}><dt>${t(`role.${role}`)}</dt><dd>${t(`role.${role}.hint`)}</dd></div>`)}
    </dl>
  </details>`;
}

/**
 * @param {Token} token
 * @param {Server[]} servers
 */
function namesOf(token, servers) {
  if (token.servers === null) return t("tokens.allServers");
  return token.servers.map((id) => servers.find((server) => server.id === id)?.name ?? t("tokens.deletedServer")).join(", ");
}

/** @param {{ servers: Server[], onClose: () => void }} props */
function CreateDialog({ servers: known, onClose }) {
  const roles = ROLES.filter((role) => session.value.caller?.token_roles.includes(role));
  const servers = known.filter((server) => can(server, "issue_tokens"));
  // Whoever may not open all servers names those that a token is for.
  const mustChoose = !may("administer");
  const [name, setName] = useState("");
  const [role, setRole] = useState(/** @type {Role} */ ("connect"));
  const [chosen, setChosen] = useState(/** @type {string[]} */ ([]));
  const [days, setDays] = useState("0");
  const [secret, setSecret] = useState("");
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [taken, setTaken] = useState(/** @type {{ name: string, free: string } | null} */ (null));
  const [isBusy, setBusy] = useState(false);

  /** @param {Event} [event] */
  const create = async (event) => {
    event?.preventDefault();
    setBusy(true);
    setError(null);
    setTaken(null);
    const json = {
      name: name.trim(),
      role,
      servers: role === "connect" && chosen.length > 0 ? chosen : null,
      expires_at: days === "0" ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString(),
    };
    try {
      /** @type {{ token: string }} */
      const made = await call("POST", "/api/tokens", { json });
      setSecret(made.token);
      refreshAll();
    } catch (problem) {
      const free = problem instanceof ApiError && problem.code === "token_name_taken" ? problem.args.free : undefined;
      if (free === undefined) {
        setError(problem);
      } else {
        setTaken({ name: name.trim(), free });
        setName(free);
      }
    } finally {
      setBusy(false);
    }
  };
  /** @param {string} id */
  const toggle = (id) => setChosen(chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id]);

  if (secret !== "") {
    return html`<${Dialog} title=${t("tokens.made", { name: name.trim() })} onClose=${onClose}>
      <p>${t("tokens.once")}</p>
      <${CopyBox} text=${secret} label=${t("connection.token")} />
      <footer><button type="button" class="button primary" onClick=${onClose}>${t("action.done")}</button></footer>
    <//>`;
  }
  return html`<${Dialog} title=${t("tokens.new")} onClose=${onClose}>
    <form onSubmit=${create}>
      <${Field} label=${t("server.name")} hint=${t("tokens.nameHint")} problem=${taken && t("tokens.taken", taken)}>
        ${(/** @type {object} */ attributes) => html`<input
          ...${attributes}
          required
          maxlength="64"
          autocomplete="off"
          value=${name}
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => {
            setName(event.currentTarget.value);
            setTaken(null);
          }}
        />`}
      <//>
      <${Field} label=${t("tokens.role")} hint=${t(`role.${role}.hint`)}>
        ${(/** @type {object} */ attributes) => html`<select
          ...${attributes}
          value=${role}
          onChange=${(/** @type {{ currentTarget: HTMLSelectElement }} */ event) => setRole(/** @type {Role} */ (event.currentTarget.value))}
        >
          ${roles.map((option) => html`<option key=${option} value=${option}>${t(`role.${option}`)}</option>`)}
        </select>`}
      <//>
      ${role === "connect" &&
      servers.length > 0 &&
      html`<fieldset class="field">
        <legend>${t("tokens.servers")}</legend>
        <div class="check-list">
          ${servers.map(
            (server) => html`<label class="check" key=${server.id}>
              <input type="checkbox" checked=${chosen.includes(server.id)} onChange=${() => toggle(server.id)} />${server.name}
            </label>`,
          )}
        </div>
        <p class="hint">${t(mustChoose ? "tokens.serversHintDeveloper" : "tokens.serversHint")}</p>
      </fieldset>`}
      <${Field} label=${t("tokens.expiry")}>
        ${(/** @type {object} */ attributes) => html`<select
          ...${attributes}
          value=${days}
          onChange=${(/** @type {{ currentTarget: HTMLSelectElement }} */ event) => setDays(event.currentTarget.value)}
        >
          ${DAYS.map((option) => html`<option key=${option} value=${String(option)}>${option === 0 ? t("tokens.noExpiry") : t("tokens.days", { n: option })}</option>`)}
        </select>`}
      <//>
      <${Failure} error=${error} onRetry=${create} />
      <footer>
        <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
        <button type="submit" class="button primary" disabled=${isBusy || name.trim() === "" || (mustChoose && chosen.length === 0)}>${t("tokens.create")}</button>
      </footer>
    </form>
  <//>`;
}
