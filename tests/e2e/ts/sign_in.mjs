// @ts-check
/**
 * How a client of either TypeScript SDK signs in by OAuth, whose user has nothing but perhaps an old token.
 * @param {string | null} token
 * @returns {any} an OAuthClientProvider, which both SDKs spell the same way
 */
export function signIn(token) {
  /** @type {any} */
  let information;
  return {
    redirectUrl: "http://127.0.0.1:33418/callback",
    clientMetadata: { client_name: "emcp-e2e", redirect_uris: ["http://127.0.0.1:33418/callback"] },
    clientInformation: () => information,
    saveClientInformation: (/** @type {any} */ given) => (information = given),
    tokens: () => (token ? { access_token: token, token_type: "Bearer" } : undefined),
    saveTokens: () => undefined,
    redirectToAuthorization: (/** @type {URL} */ url) => {
      throw new Error(`a browser was opened at ${url}`);
    },
    saveCodeVerifier: () => undefined,
    codeVerifier: () => "verifier",
  };
}
