// Stands between Chromium and Traefik and takes away, where a test says so, what
// protects the dashboard from servers' pages, one layer at a time. What holds
// without a layer is held by the others; what fails without all of them is an
// attack that works.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import https from "node:https";
import path from "node:path";

/** Before the name of a header that a hostile server says once more, for the case that Traefik removes it. */
const AGAIN = "x-again-";
/** What Traefik sets on servers' answers. */
const PROTECTING = ["content-security-policy", "x-content-type-options", "cross-origin-resource-policy"];

export class Middleman {
  /** @param {import("./platform.mjs").Platform} platform */
  static async start(platform) {
    const middleman = new Middleman(platform);
    middleman.server.listen(0, "127.0.0.1");
    await once(middleman.server, "listening");
    return middleman;
  }

  /** @param {import("./platform.mjs").Platform} platform */
  constructor(platform) {
    const url = new URL(platform.publicUrl);
    this.target = { host: "127.0.0.1", port: Number(url.port), servername: url.hostname };
    /** As from a browser, or a proxy, without Fetch Metadata. */
    this.hidesFetchMetadata = false;
    /** As through a gateway that lets servers say what they like. */
    this.undoesHeaders = false;
    // Any certificate will do: the Chromium of these tests checks none.
    const key = path.join(platform.runDir, "middleman.key");
    const cert = path.join(platform.runDir, "middleman.crt");
    const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"];
    execFileSync("openssl", ["req", "-x509", ...fresh, "-keyout", key, "-out", cert, "-days", "1"], { stdio: "pipe" });
    this.server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => this.#pass(request, response));
  }

  get port() {
    const address = this.server.address();
    if (address === null || typeof address === "string") throw new Error("the middleman does not listen");
    return String(address.port);
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  #pass(request, response) {
    const isHidden = (/** @type {string} */ name) => this.hidesFetchMetadata && name.startsWith("sec-fetch-");
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !isHidden(name)));
    const { method, url } = request;
    const onward = https.request({ ...this.target, method, path: url, headers, rejectUnauthorized: false }, (answer) => {
      const isServers = url?.startsWith("/api/hostile/") ?? false;
      const sent = this.undoesHeaders && isServers ? undone(answer.headers) : answer.headers;
      response.writeHead(answer.statusCode ?? 502, sent);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }
}

/**
 * An answer as the server meant it.
 * @param {import("node:http").IncomingHttpHeaders} headers
 */
function undone(headers) {
  const kept = Object.entries(headers).filter(([name]) => !PROTECTING.includes(name));
  return Object.fromEntries(kept.map(([name, value]) => [name.replace(AGAIN, ""), value]));
}
