// Access tokens.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function tokens(suite) {
  test("a token's secret is shown once, works, and is refused after it was revoked", async () => {
    const page = await suite.visitSignedIn();
    await page.getByRole("link", { name: "Tokens" }).click();
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("a viewer");
    await dialog.getByLabel("Role").selectOption("viewer");
    await screenshots(page, "token-new");
    await dialog.getByRole("button", { name: "Create token" }).click();
    const secret = await dialog.locator("pre").textContent();
    assert.match(secret ?? "", /^emcp_[0-9a-f]{64}$/);
    await dialog.getByRole("button", { name: "Done" }).click();
    await page.locator('[data-token="a viewer"]').waitFor();
    assert.ok(!(await page.content()).includes(secret ?? "?"));
    await screenshots(page, "tokens");

    const viewer = await suite.visit();
    await suite.signIn(viewer, secret ?? "");
    await viewer.getByRole("heading", { name: "No servers yet" }).waitFor();
    assert.equal(await viewer.getByRole("link", { name: "Tokens" }).count(), 0);
    assert.equal(await viewer.getByRole("link", { name: "Create the first server" }).count(), 0);

    await page.getByRole("button", { name: "Revoke: a viewer" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.locator('[data-token="a viewer"]').waitFor({ state: "detached" });
    await viewer.getByRole("heading", { name: "Please sign in again" }).waitFor();
    suite.forgive(viewer, /401/);
  });

  test("a taken name is answered with a free one", async () => {
    await suite.token("ci", "viewer");
    const page = await suite.visitSignedIn("/tokens");
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("CI");
    await dialog.getByLabel("Role").selectOption("viewer");
    await dialog.getByRole("button", { name: "Create token" }).click();
    await dialog.getByText('"CI" is taken. "CI 2" is free.').waitFor();
    suite.forgive(page, /409/);
    await dialog.getByRole("button", { name: "Create token" }).click();
    await page.getByRole("dialog", { name: 'Token "CI 2"' }).waitFor();
  });

  test("a developer lets clients into servers of their own, and sees those tokens alone", async () => {
    const developer = await suite.token("ada", "developer");
    await suite.create("adas", { token: developer.token });
    await suite.create("of-somebody-else");
    await suite.token("not for ada", "viewer");
    const page = await suite.visitSignedIn("/tokens", { token: developer.token });
    await page.getByText("The tokens you made.").waitFor();
    await page.getByText("Who may do what").click();
    await page.getByText("Call servers from an MCP client, nothing else.").waitFor();
    assert.equal(await page.locator("[data-token]").count(), 0);
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    assert.deepEqual(await dialog.getByLabel("Role").locator("option").allTextContents(), ["Connect"]);
    await dialog.getByLabel("Name", { exact: true }).fill("adas laptop");
    assert.ok(await dialog.getByRole("button", { name: "Create token" }).isDisabled());
    assert.equal(await dialog.getByLabel("of-somebody-else").count(), 0);
    await dialog.getByLabel("adas", { exact: true }).check();
    await dialog.getByRole("button", { name: "Create token" }).click();
    await dialog.getByRole("button", { name: "Done" }).click();
    const token = page.locator('[data-token="adas laptop"]');
    await token.getByText("never used").waitFor();
    await screenshots(page, "tokens-developer");
    await page.goto("/#/servers");
    await page.locator('[data-server="adas"]').getByRole("button", { name: "Start: adas" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Start: of-somebody-else" }).count(), 0);
    assert.ok(await page.getByLabel("Choose of-somebody-else").isDisabled());
  });
}
