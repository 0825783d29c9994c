// Puts a token into the ready-made configurations. EMCP keeps no token it could
// fill in, so they come with a placeholder.

/**
 * @template T
 * @param {T} value any part of the answer of `/connection`
 * @param {string} placeholder
 * @param {string} token
 * @returns {T}
 */
export function fillToken(value, placeholder, token) {
  if (typeof value === "string") return /** @type {T} */ (fillText(value, placeholder, token));
  if (Array.isArray(value)) return /** @type {T} */ (value.map((item) => fillToken(item, placeholder, token)));
  if (value === null || typeof value !== "object") return value;
  const filled = Object.entries(value).map(([key, item]) => [key, fillToken(item, placeholder, token)]);
  return /** @type {T} */ (Object.fromEntries(filled));
}

/**
 * The link by which VS Code takes up a server. It asks for the token itself,
 * and keeps it where it keeps passwords.
 * @param {{ servers: Record<string, object>, inputs?: object[] }} config as for .vscode/mcp.json
 */
export function vscodeLink({ servers, inputs = [] }) {
  const [[name, server] = ["", {}]] = Object.entries(servers);
  return `vscode:mcp/install?${encodeURIComponent(JSON.stringify({ name, ...server, inputs }))}`;
}

/**
 * Links that install a configuration carry it as base64 in their query.
 * @param {string} text
 * @param {string} placeholder
 * @param {string} token
 */
function fillText(text, placeholder, token) {
  const plain = text.replaceAll(placeholder, token);
  const [base = "", query] = plain.split("?", 2);
  if (query === undefined || !/^[a-z]+:\/\//.test(base)) return plain;
  const parameters = new URLSearchParams(query);
  for (const [key, value] of [...parameters]) {
    const decoded = decodeBase64(value);
    if (decoded?.includes(placeholder)) parameters.set(key, encodeBase64(decoded.replaceAll(placeholder, token)));
  }
  return `${base}?${parameters}`;
}

/** @param {string} text */
function decodeBase64(text) {
  try {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** @param {string} text */
function encodeBase64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
