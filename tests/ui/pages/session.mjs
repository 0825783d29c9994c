// Signing in and out, and sessions that end under an open page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { removeHere, waitForStatus, writeCode, CALCULATOR } from "../support/suite.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function session(suite) {
  test("a wrong token is refused with words, and the right one leads to the overview", async () => {
    const page = await suite.visit();
    await screenshots(page, "sign-in");
    await suite.signIn(page, "emcp_wrong");
    await page.getByText("This token is not valid").waitFor();
    suite.forgive(page, /401.*api\/session/);
    await suite.signIn(page);
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
    await screenshots(page, "overview-empty");
    await page.reload();
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
  });

  test("who signs out is out, and so is the next load of the page", async () => {
    const page = await suite.visitSignedIn();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to EMCP" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Sign in to EMCP" }).waitFor();
    assert.deepEqual(await page.context().cookies(), []);
  });

  test("a session that ends under an open page loses nothing that was typed", async () => {
    const page = await suite.visitSignedIn("/new");
    await page.getByLabel("Name", { exact: true }).fill("kept");
    await writeCode(page, CALCULATOR);
    await page.getByText("This name is free.").waitFor();
    await page.context().clearCookies();
    await page.getByRole("button", { name: "Create server" }).click();
    await page.getByRole("heading", { name: "Please sign in again" }).waitFor();
    // Chromium reports the refused call as an error; here it is the point.
    suite.forgive(page, /401/);
    await screenshots(page, "session-expired");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await suite.signIn(page);
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "kept");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "kept", level: 1 }).waitFor();
    await waitForStatus(page, "running");
    // The check of the code was under way as well.
    suite.forgive(page, /401.*api\/check/);
    await removeHere(page, "kept");
  });

  test("a token that expires or is revoked ends the session of a page that only watches", async () => {
    const expiring = await suite.token("expires soon", "viewer", { expires_at: new Date(Date.now() + 6_000).toISOString() });
    const revoked = await suite.token("revoked soon", "viewer");
    const watching = await suite.visitSignedIn("/overview", { token: expiring.token });
    const other = await suite.visitSignedIn("/overview", { token: revoked.token });
    await other.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    await suite.api(`/api/tokens/${revoked.id}`, { method: "DELETE" });
    for (const page of [other, watching]) {
      await page.getByRole("heading", { name: "Please sign in again" }).waitFor({ timeout: 30_000 });
      suite.forgive(page, /401/);
    }
    // Somebody else at the same browser does not find the first one's page.
    await suite.signIn(other);
    await other.getByRole("dialog").waitFor({ state: "detached" });
    await other.getByRole("link", { name: "Settings" }).waitFor();
  });
}
