// Chromium, and pages that notice what nobody may overlook: errors in the
// console, violations of the Content-Security-Policy, requests to other hosts.

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { until } from "./waits.mjs";
import { relay } from "./relay.mjs";
import { chromiumBin, REPO, SCREENSHOTS, UI_TESTS } from "./settings.mjs";

const FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const FITS_WITHIN_MS = 3_000;
/** Every clone of the repository carries them. */
const IMAGE_MAX_BYTES = 150 * 1024;

/**
 * Chromium in a network of its own, with the platform's port in it.
 * @param {import("./platform.mjs").Platform} platform
 * @param {{ through?: string, flags?: string[] }} [options] the port that
 *   connections really lead to, if it is another, and further flags
 */
export async function launch(platform, { through, flags = [] } = {}) {
  const { port } = new URL(platform.publicUrl);
  const socket = path.join(platform.runDir, `browser-${through ?? port}.sock`);
  const tunnel = await relay(socket, through ?? port);
  const env = { ...withoutProxy(), NODE: process.execPath, CHROMIUM: chromiumBin(), RELAY_PORT: port, RELAY_SOCKET: socket };
  const browser = await chromium.launch({ executablePath: path.join(UI_TESTS, "support", "apart.sh"), args: [...FLAGS, ...flags], env });
  browser.on("disconnected", () => tunnel.close());
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await until("Chromium to reach the platform", () => page.goto(`${platform.publicUrl}/healthz`).then((answer) => answer?.ok(), () => false));
    await context.close();
  } catch (error) {
    await browser.close();
    throw error;
  }
  return browser;
}

/**
 * A page of its own browser context.
 * @param {import("playwright-core").Browser} browser
 * @param {string} publicUrl
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function openPage(browser, publicUrl, options = {}) {
  const context = await browser.newContext({
    baseURL: publicUrl,
    // Traefik's certificate is of EMCP's own authority, which Chromium does not
    // know; that it verifies is tested in tests/e2e.
    ignoreHTTPSErrors: true,
    locale: "en-GB",
    viewport: { width: 1440, height: 900 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  /** @type {string[]} */
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const { url } = message.location();
    complaints.push(`${message.type()}: ${message.text()} (${url})`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${publicUrl}/`)) complaints.push(`request to another host: ${request.url()}`);
  });
  return { context, page, complaints };
}

/**
 * The page as it is, at phone and desktop width. With EMCP_UI_IMAGES set, the
 * desktop's goes to docs/images too, where the documents show it.
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @param {{ image?: string }} [options] the image's name in the documents
 */
export async function screenshots(page, name, { image } = {}) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  const before = page.viewportSize();
  for (const [width, height] of /** @type {const} */ ([[360, 740], [1440, 900]])) {
    await page.setViewportSize({ width, height });
    const widest = await tooWide(page);
    if (widest) throw new Error(`${name} is wider than a window of ${width} px: ${widest}`);
    const picture = await page.screenshot({ path: path.join(SCREENSHOTS, `${name}-${width}.png`), animations: "disabled" });
    if (width < 1000 || !image) continue;
    if (picture.length > IMAGE_MAX_BYTES) throw new Error(`the picture of ${name} has ${picture.length} bytes, too many for the documents`);
    if (process.env.EMCP_UI_IMAGES) writeFileSync(path.join(REPO, "docs", "images", `${image}.png`), picture);
  }
  if (before) await page.setViewportSize(before);
}

/**
 * What reaches beyond the right edge of the window, if anything does. A page
 * that was just resized may take some frames to fit.
 * @param {import("playwright-core").Page} page
 */
export async function tooWide(page) {
  const look = () =>
    page.evaluate(() => {
      const { clientWidth, scrollWidth } = document.documentElement;
      if (scrollWidth <= clientWidth) return null;
      const beyond = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > clientWidth + 1);
      return `${scrollWidth - clientWidth} px: ${beyond.at(-1)?.outerHTML.slice(0, 200)}`;
    });
  const deadline = Date.now() + FITS_WITHIN_MS;
  for (;;) {
    const found = await look();
    if (!found || Date.now() > deadline) return found;
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

/** Chromium speaks to this machine only. */
function withoutProxy() {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !/_proxy$/i.test(key)).map(([key, value]) => [key, value ?? ""]));
}
