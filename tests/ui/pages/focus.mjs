// Where the keyboard is after a window over the page has gone, or what it was
// on. Never nowhere: who uses it would have to begin at the top again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/waits.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("playwright-core").Locator} Locator */

/** @param {Page} page what has the keyboard */
const focused = (page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return "nothing";
    return element.id || element.getAttribute("aria-label") || element.textContent?.trim() || element.tagName;
  });

/**
 * @param {Page} page
 * @param {string | RegExp} expected
 * @param {string} when
 */
async function assertFocused(page, expected, when) {
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await until(`the keyboard to be somewhere after ${when}`, async () => (await focused(page)) !== "nothing");
  if (typeof expected === "string") assert.equal(await focused(page), expected, when);
  else assert.match(await focused(page), expected, when);
}

/** The ways out of a window that change nothing. */
const WAYS_OUT = {
  Escape: (/** @type {Page} */ page) => page.keyboard.press("Escape"),
  Cancel: (/** @type {Page} */ page) => page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click(),
  Close: (/** @type {Page} */ page) => page.getByRole("dialog").getByRole("button", { name: "Close" }).first().click(),
};

/** @param {import("../support/suite.mjs").Suite} suite */
export default function focus(suite) {
  test("every window gives the keyboard back to what opened it", async () => {
    await suite.create("kept");
    await suite.token("first", "viewer");
    const page = await suite.visitSignedIn("/servers/kept");
    /** @type {[string, string, string[]][]} */
    const windows = [
      ["/servers/kept", "Edit", ["Escape", "Cancel", "Close"]],
      ["/servers/kept", "Delete: kept", ["Escape", "Cancel", "Close"]],
      ["/servers/kept", "View: 1", ["Escape", "Close"]],
      ["/tokens", "New token", ["Escape", "Cancel", "Close"]],
      ["/tokens", "Revoke: first", ["Escape", "Cancel", "Close"]],
      ["/tokens", "Keyboard shortcuts", ["Escape", "Close"]],
    ];
    for (const [address, opener, ways] of windows) {
      await page.goto(`/#${address}`);
      const button = page.getByRole("button", { name: opener, exact: true });
      for (const way of ways) {
        for (const isByKey of [false, true]) {
          await button.focus();
          if (isByKey) await page.keyboard.press("Enter");
          else await button.click();
          await page.getByRole("dialog").waitFor();
          await WAYS_OUT[/** @type {keyof typeof WAYS_OUT} */ (way)](page);
          await assertFocused(page, opener, `${opener}, ${way}`);
        }
      }
    }
    // Saved.
    await page.goto("/#/servers/kept");
    await page.getByRole("button", { name: "Edit" }).click();
    await page.getByRole("dialog").getByLabel("Description").fill("changed");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await assertFocused(page, "Edit", "saving");
    // Made.
    await page.goto("/#/tokens");
    await page.getByRole("button", { name: "New token" }).click();
    await page.getByRole("dialog").getByLabel("Name", { exact: true }).fill("second");
    await page.getByRole("dialog").getByRole("button", { name: "Create token" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Done" }).click();
    await assertFocused(page, "New token", "making a token");
  });

  test("a window opened by a key, and one that keeps what is unsaved, give it back too", async () => {
    await suite.create("edited");
    const page = await suite.visitSignedIn("/servers");
    const link = page.getByRole("link", { name: "edited", exact: true });
    await link.focus();
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await assertFocused(page, "edited", "the keyboard's list");

    await page.goto("/#/servers/edited/environment");
    await page.getByRole("button", { name: "Add variable" }).click();
    await page.getByLabel("Key", { exact: true }).last().fill("TYPED");
    const away = page.getByRole("link", { name: "Tokens" });
    for (const leave of [() => page.keyboard.press("Escape"), () => page.getByRole("dialog").getByRole("button", { name: "Stay here" }).click()]) {
      await away.click();
      await page.getByRole("dialog").waitFor();
      await leave();
      await assertFocused(page, "Tokens", "staying");
    }
    await away.click();
    await page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await assertFocused(page, "Tokens", "leaving");
  });

  test("where what opened it is gone, what is nearest has the keyboard", async () => {
    for (const name of ["one", "two", "three"]) await suite.token(name, "viewer");
    const page = await suite.visitSignedIn("/tokens");
    const revoke = async (/** @type {string} */ name) => {
      await page.getByRole("button", { name: `Revoke: ${name}` }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
      await page.locator(`[data-token="${name}"]`).waitFor({ state: "detached" });
    };
    await revoke("two");
    await assertFocused(page, /^Revoke: (one|three)$/, "a row in the middle");
    // Gone while the window was open.
    await page.getByRole("button", { name: "Revoke: one" }).click();
    const { tokens } = await suite.api("/api/tokens");
    const { id } = tokens.find((/** @type {{ name: string }} */ { name }) => name === "one");
    await suite.api(`/api/tokens/${id}`, { method: "DELETE" });
    await page.locator('[data-token="one"]').waitFor({ state: "detached" });
    await page.keyboard.press("Escape");
    await assertFocused(page, /^Revoke: /, "a row that went by itself");

    await suite.create("removed");
    await page.goto("/#/servers/removed");
    await page.getByRole("button", { name: "Delete: removed" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Servers", level: 1 }).waitFor();
    await assertFocused(page, "content", "deleting the server of the page");
  });

  test("a button that gives way to another one passes the keyboard on", async () => {
    await suite.create("acted");
    const page = await suite.visitSignedIn("/servers");
    await page.getByRole("button", { name: "Start: acted" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Stop: acted" }).waitFor();
    await until("the keyboard to be somewhere", async () => (await focused(page)) !== "nothing");
    assert.match(await focused(page), /: acted$/);
    await suite.waitForServer("acted", "running");
  });

  test("a window that says what failed keeps the keyboard in it", async () => {
    await suite.token("taken", "viewer");
    const page = await suite.visitSignedIn("/tokens");
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("taken");
    await dialog.getByRole("button", { name: "Create token" }).focus();
    await page.keyboard.press("Enter");
    await dialog.getByText('"taken" is taken. "taken 2" is free.').waitFor();
    await until("the button to have the keyboard again", async () => (await focused(page)) === "Create token");
    suite.forgive(page, /409/);
  });
}
