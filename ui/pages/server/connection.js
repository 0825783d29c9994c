// How a client connects: addresses, ready-made configurations with a token in
// them, and the certificate authority to trust.

import { html, useEffect, useState } from "../../vendor/preact.js";
import { Choice, CopyBox, Failure, Field, Loading } from "../../components/controls.js";
import { ConnectionTest } from "../../components/connection_test.js";
import { Icon } from "../../components/icon.js";
import { ReadFailure } from "../../components/read_failure.js";
import { call, serverPath } from "../../lib/api.js";
import { fillToken, vscodeLink } from "../../lib/connection.js";
import { t } from "../../lib/i18n.js";
import { can } from "../../lib/servers.js";
import { ConnectTokens } from "./connect_tokens.js";

/** @typedef {import("../../lib/types.js").Connection} Connection */
/** @typedef {import("../../lib/types.js").Server} Server */

/** @param {{ server: Server }} props */
export function ConnectionTab({ server }) {
  const canMake = can(server, "issue_tokens");
  const [connection, setConnection] = useState(/** @type {Connection | null} */ (null));
  const [token, setToken] = useState("");
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const load = async () => {
    setError(null);
    try {
      setConnection(await call("GET", serverPath(server.id, "/connection")));
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), [server.id]);

  if (!connection) return error ? html`<${ReadFailure} error=${error} onRetry=${load} />` : html`<${Loading} />`;
  const filled = token === "" ? connection : fillToken(connection, connection.token_placeholder, token);
  return html`
    <section class="panel">
      <h2>${t("connection.urls")}</h2>
      <${UrlList} urls=${connection.urls} />
      ${connection.urls.base && html`<p class="hint">${t("connection.noMcp")}</p>`}
      <p class="hint">${t("connection.tokenNeeded")}</p>
      ${connection.clients &&
      html`<details>
        <summary>${t("connection.urlOnly")}</summary>
        <p class="hint">${t("connection.urlOnlyHint")}</p>
        <${UrlList} urls=${filled.urls_with_key} of=${`${t("connection.urlOnly")}: `} />
      </details>`}
    </section>
    <section class="panel">
      <h2>${t("connection.token")}</h2>
      ${canMake && html`<${ConnectTokens} server=${server} onToken=${setToken} />`}
      <${OwnToken} label=${canMake ? t("connection.tokenOther") : t("connection.tokenOwn")} token=${token} onToken=${setToken} />
    </section>
    ${filled.clients
      ? html`<${Clients} clients=${filled.clients} placeholder=${connection.token_placeholder} hasToken=${token !== ""} />`
      : filled.curl && html`<section class="panel"><h2>${t("connection.call")}</h2><${CopyBox} text=${filled.curl} label="curl" lines /></section>`}
    ${can(server, "call") &&
    html`<${ConnectionTest} serverId=${server.id} url=${connection.urls.mcp ?? connection.urls.sse ?? connection.urls.base ?? ""} />`}
    ${connection.ca_url && html`<${CertificateAuthority} />`}
  `;
}

/**
 * A token that one has already.
 * @param {{ label: string, token: string, onToken: (token: string) => void }} props
 */
function OwnToken({ label, token, onToken }) {
  return html`<${Field} label=${label} hint=${t("connection.tokenStays")}>
    ${(/** @type {object} */ attributes) => html`<input
      ...${attributes}
      class="mono"
      type="password"
      autocomplete="off"
      placeholder="emcp_…"
      value=${token}
      onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => onToken(event.currentTarget.value.trim())}
    />`}
  <//>`;
}

/** @param {{ urls: import("../../lib/types.js").Urls, of?: string }} props */
function UrlList({ urls, of = "" }) {
  /** @type {[string, string | undefined][]} */
  const named = [
    [t("connection.mcp"), urls.mcp],
    [t("connection.sse"), urls.sse],
    ...(urls.more ?? []).map((url) => /** @type {[string, string]} */ ([t("connection.more"), url])),
    [t("connection.base"), urls.base],
  ];
  return html`<dl class="urls">
    ${named.map(([name, url]) => url && html`<dt>${name}</dt><dd><${CopyBox} text=${url} label=${of + name} /></dd>`)}
  </dl>`;
}

/** @param {{ clients: NonNullable<Connection["clients"]>, placeholder: string, hasToken: boolean }} props */
function Clients({ clients, placeholder, hasToken }) {
  const [client, setClient] = useState(/** @type {keyof typeof clients} */ ("cherry_studio"));
  const [chosen, setTransport] = useState(/** @type {"http" | "sse"} */ ("http"));
  const { streamable_http: overHttp, sse: overSse } = clients.cherry_studio;
  // An app of the file's own may have one of the two alone.
  const hasBoth = Boolean(overHttp && overSse);
  const transport = hasBoth ? chosen : overHttp ? "http" : "sse";
  const cherry = transport === "http" ? overHttp : overSse;
  const shown = {
    cherry_studio: { text: pretty(cherry?.config ?? {}), link: cherry?.link ?? null, name: "Cherry Studio" },
    claude_code: { text: clients.claude_code[transport] ?? "", link: null, name: "Claude Code" },
    cursor: { text: pretty(clients.cursor.config), link: clients.cursor.link, name: "Cursor" },
    vscode: { text: pretty(clients.vscode), link: vscodeLink(clients.vscode), name: "VS Code" },
    windsurf: { text: pretty(clients.windsurf), link: null, name: "Windsurf" },
  };
  const { text, link, name } = shown[client];
  const hasTransports = hasBoth && (client === "cherry_studio" || client === "claude_code");
  return html`<section class="panel">
    <h2>${t("connection.clients")}</h2>
    <div class="choices">
      <${Choice}
        label=${t("connection.client")}
        value=${client}
        onChange=${setClient}
        options=${Object.entries(shown).map(([key, { name: words }]) => [key, words])}
      />
      ${hasTransports &&
      html`<${Choice}
        label=${t("connection.transport")}
        value=${transport}
        onChange=${setTransport}
        options=${[
          ["http", "Streamable HTTP"],
          ["sse", "SSE"],
        ]}
      />`}
    </div>
    <p>${t(`connection.how.${client}`)}</p>
    ${!hasToken && client !== "vscode" && html`<p class="hint">${t("connection.placeholder", { text: placeholder })}</p>`}
    <${CopyBox} text=${text} label=${name} lines />
    ${link &&
    (hasToken || client === "vscode"
      ? html`<a class="button" href=${link}><${Icon} name="link" />${t("connection.install", { client: name })}</a>`
      : html`<button type="button" class="button" disabled title=${t("connection.installNeedsToken")}><${Icon} name="link" />${t("connection.install", { client: name })}</button>`)}
  </section>`;
}

function CertificateAuthority() {
  return html`<section class="panel">
    <h2>${t("connection.ca")}</h2>
    <p>${t("connection.caWhy")}</p>
    <a class="button" href="/ca.crt" download="emcp-ca.crt"><${Icon} name="download" />${t("connection.caDownload")}</a>
    <details>
      <summary>${t("connection.caHow")}</summary>
      <dl class="urls">
        <dt>Debian, Ubuntu</dt>
        <dd><${CopyBox} text="sudo cp emcp-ca.crt /usr/local/share/ca-certificates/ && sudo update-ca-certificates" label="Debian, Ubuntu" /></dd>
        <dt>macOS</dt>
        <dd><${CopyBox} text="sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain emcp-ca.crt" label="macOS" /></dd>
        <dt>Windows</dt>
        <dd><${CopyBox} text="certutil -addstore -f Root emcp-ca.crt" label="Windows" /></dd>
        <dt>${t("connection.caNode")}</dt>
        <dd><${CopyBox} text="NODE_EXTRA_CA_CERTS=/path/to/emcp-ca.crt" label=${t("connection.caNode")} /></dd>
      </dl>
    </details>
  </section>`;
}

/** @param {object} value */
function pretty(value) {
  return JSON.stringify(value, null, 2);
}
