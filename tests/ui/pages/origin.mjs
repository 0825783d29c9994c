// A malicious server, and an administrator who follows its links. Its pages are
// under the dashboard's own address, and must not act there all the same. Each
// layer that keeps them from it is tried alone; without any, every attack works.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../support/browser.mjs";
import { Middleman } from "../support/middleman.mjs";
import { until } from "../support/waits.mjs";

const COOKIE = "__Host-emcp-session";
/** Makes a token of its own with the visitor's session. */
const STEAL = `fetch("/api/tokens", { method: "POST", body: JSON.stringify({ name: "stolen", role: "admin" }), headers: { "Content-Type": "application/json" } })`;

/** Serves an attack for each path, and keeps a list of who asked for what. */
const CODE = `
import json

RAN = "document.documentElement.dataset.ran = 'yes';"
STEAL = ${JSON.stringify(STEAL)}
PAGE = "<!doctype html><title>hostile</title><script>" + RAN + STEAL + "</script><h1>hostile</h1>"
WORKER = """
self.addEventListener("install", (event) => event.waitUntil(%s.then(() => self.skipWaiting())));
self.addEventListener("fetch", (event) => event.respondWith(new Response("taken over")));
""" % STEAL
ATTACKS = {
    "page": ("text/html", PAGE, {}),
    "cookie": ("text/html", "cookie", {"set-cookie": "${COOKIE}=planted; Path=/; Secure; HttpOnly; SameSite=Strict"}),
    "clear": ("text/html", "clear", {"clear-site-data": '"cookies", "storage"'}),
    "refresh": ("text/html", "refresh", {"refresh": "0;url=/healthz"}),
    "worker": ("text/javascript", WORKER, {"service-worker-allowed": "/"}),
    "script": ("text/javascript", RAN, {}),
}
asked = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    name = scope["path"].removeprefix(scope["root_path"]).split("/")[1]
    kind, body, headers = ATTACKS.get(name, ("application/json", json.dumps(asked), {}))
    if name in ATTACKS:
        asked.append(name)
    again = {"x-again-" + key: value for key, value in headers.items()}
    said = [(key.encode(), value.encode()) for key, value in {"content-type": kind, **headers, **again}.items()]
    await send({"type": "http.response.start", "status": 200, "headers": said})
    await send({"type": "http.response.body", "body": body.encode()})
`;

/**
 * Each tells whether it worked.
 * @type {Record<string, (victim: Victim) => Promise<boolean>>}
 */
const ATTACKS = {
  "a script in the page": async (victim) => {
    const page = await victim.follow("page");
    return victim.robbedBy(page);
  },

  "the page in a frame of another site": async (victim) => {
    const page = await victim.elsewhere(`<iframe src="${victim.link("page")}"></iframe>`);
    const frame = page.frames().find((one) => one !== page.mainFrame());
    return (await frame?.locator("html[data-ran]").count()) === 1;
  },

  "a script for a page of another site": async (victim) => {
    const page = await victim.elsewhere(`<script src="${victim.link("script")}"></script>`);
    return (await page.locator("html[data-ran]").count()) === 1;
  },

  "a worker for the whole address": (victim) => victim.register("/"),

  "a worker for the server's own path": (victim) => victim.register(undefined),

  "another session's cookie": async (victim) => {
    await victim.follow("cookie");
    return (await victim.session()) === "planted";
  },

  "forgetting what the browser keeps": async (victim) => {
    const before = await victim.session();
    await victim.follow("clear");
    const kept = await victim.page.evaluate(() => localStorage.getItem("emcp.kept"));
    return (await victim.session()) !== before || kept !== "yes";
  },

  "leading on to another address": async (victim) => {
    const { page, answer } = await victim.open("refresh");
    if (!answer?.headers()["refresh"]) return new URL(page.url()).pathname === "/healthz";
    await page.waitForURL("**/healthz");
    return true;
  },
};

/** @param {import("../support/suite.mjs").Suite} suite */
export default function origin(suite) {
  /** @type {Middleman} */
  let middleman;
  /** @type {import("playwright-core").Browser} */
  let browser;

  before(async () => {
    middleman = await Middleman.start(suite.platform);
    // Workers are for pages whose certificate is in order.
    browser = await launch(suite.platform, { through: middleman.port, flags: ["--ignore-certificate-errors"] });
  });
  after(async () => {
    await browser?.close();
    middleman?.stop();
  });

  const layers = [
    { what: "as it is", hidesFetchMetadata: false, undoesHeaders: false, reaches: false },
    { what: "by the gate alone", hidesFetchMetadata: false, undoesHeaders: true, reaches: false },
    { what: "by the headers alone", hidesFetchMetadata: true, undoesHeaders: false, reaches: true },
  ];
  for (const { what, hidesFetchMetadata, undoesHeaders, reaches } of layers) {
    test(`no attack of a server's page works: ${what}`, async () => {
      Object.assign(middleman, { hidesFetchMetadata, undoesHeaders });
      const victim = await Victim.of(suite, browser);
      for (const [attack, works] of Object.entries(ATTACKS)) assert.equal(await works(victim), false, attack);
      assert.equal((await victim.asked()).length > 0, reaches);
      await victim.leave();
    });
  }

  test("without the two, every one of these attacks works", async () => {
    Object.assign(middleman, { hidesFetchMetadata: true, undoesHeaders: true });
    for (const [attack, works] of Object.entries(ATTACKS)) {
      const victim = await Victim.of(suite, browser);
      assert.equal(await works(victim), true, attack);
      await victim.leave();
    }
  });
}

/** An administrator who is signed in, with a link to the malicious server. */
class Victim {
  /**
   * @param {import("../support/suite.mjs").Suite} suite
   * @param {import("playwright-core").Browser} browser
   */
  static async of(suite, browser) {
    const { servers } = await suite.api("/api/servers");
    if (servers.length === 0) {
      await suite.create("hostile", { code: CODE, start: true, entry_object: "app" });
      await suite.waitForServer("hostile", "running");
    }
    // The attacker's own, in the link.
    const made = await suite.api("/api/tokens", { method: "POST", data: { name: `attacker ${Date.now()}`, role: "connect", servers: ["hostile"] } });
    const context = await browser.newContext({ baseURL: suite.platform.publicUrl, ignoreHTTPSErrors: true, permissions: ["local-network-access"] });
    const answer = await context.request.post("/api/session", { data: { token: suite.platform.adminToken } });
    assert.equal(answer.status(), 200);
    const page = await context.newPage();
    await page.goto("/#/servers");
    await page.locator('[data-server="hostile"]').waitFor();
    await page.evaluate(() => localStorage.setItem("emcp.kept", "yes"));
    return new Victim(suite, context, page, made.token);
  }

  /**
   * @param {import("../support/suite.mjs").Suite} suite
   * @param {import("playwright-core").BrowserContext} context
   * @param {import("playwright-core").Page} page the dashboard
   * @param {string} key
   */
  constructor(suite, context, page, key) {
    this.suite = suite;
    this.context = context;
    this.page = page;
    this.key = key;
  }

  async leave() {
    await this.context.close();
  }

  /** @param {string} name */
  link(name) {
    return `/api/hostile/${name}/mcp?key=${this.key}`;
  }

  /**
   * Follows a link of the malicious server's.
   * @param {string} name
   */
  async open(name) {
    const page = await this.context.newPage();
    const answer = await page.goto(this.link(name), { waitUntil: "load" });
    return { page, answer };
  }

  /** @param {string} name */
  async follow(name) {
    const { page } = await this.open(name);
    return page;
  }

  /**
   * A page of another site, loaded with all that is in it.
   * @param {string} body
   */
  async elsewhere(body) {
    const page = await this.context.newPage();
    const base = this.suite.platform.publicUrl;
    await page.route("https://elsewhere.example/", (route) => route.fulfill({ contentType: "text/html", body: `<!doctype html><base href="${base}">${body}` }));
    await page.goto("https://elsewhere.example/", { waitUntil: "load" });
    return page;
  }

  /**
   * Registers the malicious server's worker, as a script in its page would, and
   * waits for what becomes of it.
   * @param {string | undefined} scope
   */
  async register(scope) {
    const state = await this.page.evaluate(async ([url = "", wanted]) => {
      const made = await navigator.serviceWorker.register(url, wanted ? { scope: wanted } : {}).catch(() => null);
      const worker = made?.installing ?? made?.waiting ?? made?.active;
      if (!worker) return "refused";
      while (worker.state !== "activated" && worker.state !== "redundant") {
        await new Promise((resolve) => worker.addEventListener("statechange", resolve, { once: true }));
      }
      return worker.state;
    }, [this.link("worker"), scope]);
    return (await this.isRobbed()) || state === "activated";
  }

  /** What reached the malicious server. */
  async asked() {
    const answer = await this.context.request.get("/api/hostile/asked/mcp", { headers: { Authorization: `Bearer ${this.suite.platform.adminToken}` } });
    /** @type {string[]} */
    const asked = await answer.json();
    return asked;
  }

  /**
   * Whether the page's script has run, and made its token.
   * @param {import("playwright-core").Page} page
   */
  async robbedBy(page) {
    // It would have begun before the page was loaded.
    if ((await page.locator("html[data-ran]").count()) === 0) return this.isRobbed();
    await until("the script to have made its token", () => this.isRobbed());
    return true;
  }

  /** Whether there is a token that the administrator did not make; it is gone afterwards. */
  async isRobbed() {
    const { tokens } = await this.suite.api("/api/tokens");
    const stolen = tokens.filter((/** @type {{ name: string }} */ token) => token.name === "stolen");
    for (const { id } of stolen) await this.suite.api(`/api/tokens/${id}`, { method: "DELETE" });
    return stolen.length > 0;
  }

  /** The cookie of the session. */
  async session() {
    const cookies = await this.context.cookies();
    return cookies.find(({ name }) => name === COOKIE)?.value;
  }
}
