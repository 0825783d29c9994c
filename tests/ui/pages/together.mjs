// Several people at one server: who may do what, and what happens when two of
// them change the same thing.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { CALCULATOR } from "../support/suite.mjs";

/** @typedef {import("playwright-core").Page} Page */

const MINE = CALCULATOR.replace("Add two numbers.", "Add two numbers, as I do.");
const THEIRS = CALCULATOR.replace("Add two numbers.", "Add two numbers, as they do.");

/** @param {import("../support/suite.mjs").Suite} suite */
export default function together(suite) {
  /**
   * @param {Page} page
   * @param {string} name
   * @param {string} text
   */
  async function rewrite(page, name, text) {
    await page.locator(".cm-line", { hasText: "FastMCP(" }).waitFor();
    await page.getByRole("textbox", { name: `Code of ${name}` }).fill(text);
  }

  /**
   * @param {string} name
   * @param {string} address
   * @param {{ method?: string, data?: unknown }} call
   */
  const change = (name, address, { method = "PATCH", data }) => suite.api(`/api/servers/${name}${address}`, { method, data });

  /** @param {Page} page */
  const tabs = (page) => page.locator("nav.tabs a").allTextContents();

  test("only what somebody may do is offered to them, on every page", async () => {
    const [owner, member, stranger, viewer, guest] = await Promise.all([
      suite.token("owner", "developer"),
      suite.token("member", "developer"),
      suite.token("stranger", "developer"),
      suite.token("looks", "viewer"),
      suite.token("guest", "viewer"),
    ]);
    await suite.create("ours", { token: owner.token });
    await suite.api("/api/servers/ours", { method: "PATCH", data: { members: ["member", "guest"] }, token: owner.token });
    const all = ["Overview", "Code", "Environment", "Logs", "Tools", "Connection"];
    const expected = [
      { token: owner.token, tabs: all, changes: true, shares: true, reads: true },
      { token: suite.platform.adminToken, tabs: all, changes: true, shares: true, reads: true },
      { token: member.token, tabs: all, changes: true, shares: false, reads: true },
      { token: stranger.token, tabs: ["Overview", "Logs", "Connection"], changes: false, shares: false, reads: false },
      { token: viewer.token, tabs: ["Overview", "Logs", "Connection"], changes: false, shares: false, reads: false },
      { token: guest.token, tabs: ["Overview", "Code", "Environment", "Logs", "Connection"], changes: false, shares: false, reads: true },
    ];
    for (const { token, tabs: offered, changes, shares, reads } of expected) {
      const page = await suite.visitSignedIn("/servers/ours", { token });
      await page.locator('[data-version="1"]').waitFor();
      assert.deepEqual(await tabs(page), offered);
      const count = (/** @type {string | RegExp} */ name) => page.getByRole("button", { name }).count();
      for (const name of ["Delete: ours", "Start: ours"]) assert.equal(await count(name), Number(changes), name);
      assert.equal(await page.getByRole("button", { name: "Edit", exact: true }).count(), Number(changes));
      assert.equal(await count("Change the members"), Number(shares));
      assert.equal(await count("View: 1"), Number(reads));
      await page.getByText("member, guest").waitFor();
      await page.goto("/#/servers/ours/connection");
      await page.getByRole("heading", { name: "Set up a client" }).waitFor();
      assert.equal(await count("Make a connect token"), Number(changes));
      assert.equal(await count("Test now"), Number(changes));
      if (reads) {
        await page.goto("/#/servers/ours/code");
        await page.locator(".cm-line").first().waitFor();
        assert.equal(await count("Choose a .py file"), Number(changes));
        await page.goto("/#/servers/ours/environment");
        await page.getByText("No variables yet.").waitFor();
        assert.equal(await count("Add variable"), Number(changes));
      } else {
        // Not a red error either, where the address was written by hand.
        await page.goto("/#/servers/ours/code");
        await page.getByText("Only owner, who created this server, its members and administrators see this.").waitFor();
        assert.equal(await page.getByRole("alert").count(), 0);
      }
      await page.goto("/#/servers");
      await page.locator('[data-server="ours"]').waitFor();
      assert.equal(await count("Start: ours"), Number(changes));
      await page.context().close();
    }
    // Who is let in, or out, while they look on sees it at once.
    const page = await suite.visitSignedIn("/servers/ours", { token: stranger.token });
    await page.locator('[data-version="1"]').waitFor();
    await suite.api("/api/servers/ours", { method: "PATCH", data: { members: ["member", "guest", "stranger"] }, token: owner.token });
    await page.getByRole("button", { name: "Delete: ours" }).waitFor();
    assert.deepEqual(await tabs(page), all);
  });

  test("the creator says who the members are, and what is wrong is said at once", async () => {
    const owner = await suite.token("ada", "developer");
    const friend = await suite.token("grace", "developer");
    await suite.create("ours", { token: owner.token });
    const page = await suite.visitSignedIn("/servers/ours", { token: owner.token });
    await page.getByText("Nobody else").waitFor();
    await page.getByRole("button", { name: "Change the members" }).click();
    const dialog = page.getByRole("dialog", { name: "Members" });
    const name = dialog.getByLabel("Name of a developer's or viewer's token");
    const add = dialog.getByRole("button", { name: "Add" });
    const save = dialog.getByRole("button", { name: "Save" });
    assert.ok(await save.isDisabled());
    for (const [wrong = "", words = ""] of [
      ["ada", "This is the creator, whose it is already."],
      ["gräce", "Use 1 to 64 ASCII characters, without line breaks."],
    ]) {
      await name.fill(wrong);
      await dialog.getByText(words).waitFor();
      assert.ok((await add.isDisabled()) && (await save.isDisabled()));
    }
    await name.fill("grace");
    await name.press("Enter");
    await name.fill("grace");
    await dialog.getByText("This is a member already.").waitFor();
    await name.fill("nobody");
    await add.click();
    await save.click();
    await dialog.getByText('No developer\'s or viewer\'s token is named "nobody"; ask an administrator to make one first.').waitFor();
    suite.forgive(page, /400/);
    await screenshots(page, "members");
    await dialog.getByRole("button", { name: "Remove nobody" }).click();
    // A change of another setting meanwhile is no reason to ask.
    await change("ours", "", { data: { description: "changed meanwhile" } });
    await save.click();
    await dialog.waitFor({ state: "detached" });
    suite.forgive(page, /412/);
    await page.getByText("grace", { exact: true }).waitFor();
    const server = await suite.api("/api/servers/ours", { token: friend.token });
    assert.deepEqual([server.members, server.description], [["grace"], "changed meanwhile"]);
    assert.ok(server.permissions.includes("update") && !server.permissions.includes("share"));

    // Two who change the list at once.
    await page.getByRole("button", { name: "Change the members" }).click();
    await name.fill("ivy");
    await suite.token("ivy", "viewer");
    await suite.token("joan", "viewer");
    await change("ours", "", { data: { members: ["grace", "joan"] } });
    await save.click();
    await dialog.getByText("Somebody else has changed this since you opened it.").waitFor();
    suite.forgive(page, /412/);
    await dialog.getByRole("button", { name: "Put my changes on top" }).click();
    await dialog.locator('[data-member="joan"]').waitFor();
    assert.equal(await name.inputValue(), "ivy");
    await save.click();
    await dialog.waitFor({ state: "detached" });
    assert.deepEqual((await suite.api("/api/servers/ours")).members, ["grace", "joan", "ivy"]);
  });

  test("of two who edit one code the second is told, sees both, and loses nothing", async () => {
    await suite.create("edited");
    const page = await suite.visitSignedIn("/servers/edited/code");
    const other = await suite.visitSignedIn("/servers/edited/code");
    await rewrite(page, "edited", MINE);
    await rewrite(other, "edited", THEIRS);
    await other.getByRole("button", { name: "Save as next version" }).click();
    await other.getByRole("heading", { name: "Version 2" }).waitFor();
    // Told before anything is sent, and nothing typed is gone.
    await page.getByText("Version 2 has been put into use since you began.").waitFor();
    await page.locator(".cm-line", { hasText: "as I do" }).waitFor();
    assert.ok(await page.getByRole("button", { name: "Save as next version" }).isDisabled());
    await page.getByRole("button", { name: "Show the differences" }).click();
    await page.locator(".cm-deletedChunk", { hasText: "as they do" }).waitFor();
    await page.locator(".cm-changedLine", { hasText: "as I do" }).waitFor();
    await screenshots(page, "code-outdated");
    // Also after a reload.
    page.on("dialog", (dialog) => dialog.accept());
    await page.reload();
    await page.getByText("Version 2 has been put into use since you began.").waitFor();
    await page.locator(".cm-line", { hasText: "as I do" }).waitFor();
    assert.equal((await suite.api("/api/servers/edited")).version, 2);
    await page.getByRole("button", { name: "Put my changes on top" }).click();
    await page.getByRole("button", { name: "Save as next version" }).click();
    await page.getByRole("heading", { name: "Version 3" }).waitFor();
    await page.locator(".cm-line", { hasText: "as I do" }).waitFor();

    // A page that does not know yet: EMCP refuses, and it is told the same way.
    await other.getByRole("heading", { name: "Version 3" }).waitFor();
    await rewrite(other, "edited", THEIRS.replace("they", "others"));
    await other.route("**/api/servers/*/code", async (route) => {
      if (route.request().method() === "PUT") await change("edited", "/code", { method: "PUT", data: { code: `${MINE}\n` } });
      await route.continue();
    });
    await other.getByRole("button", { name: "Save as next version" }).click();
    await other.getByText("Version 4 has been put into use since you began.").waitFor();
    suite.forgive(other, /412/);
    assert.equal((await change("edited", "/versions", { method: "GET" })).versions.length, 4);
    await other.locator(".cm-line", { hasText: "as others do" }).waitFor();
    await other.getByRole("button", { name: "Take version 4, drop mine" }).click();
    await other.getByRole("heading", { name: "Version 4" }).waitFor();
    await other.locator(".cm-line", { hasText: "as I do" }).waitFor();
  });

  test("of two who change settings or variables the second is told, and both changes can be kept", async () => {
    await suite.create("set", { env: [{ key: "A", value: "1" }, { key: "B", value: "1" }, { key: "S", value: "x", is_secret: true }] });
    const page = await suite.visitSignedIn("/servers/set");
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Settings" });
    await dialog.getByLabel("Description").fill("mine");
    await dialog.getByLabel("Memory limit (MiB)").fill("300");
    await change("set", "", { data: { description: "theirs", entry_object: "other" } });
    await dialog.getByRole("button", { name: "Save" }).click();
    const told = dialog.getByRole("alert");
    await told.getByText("Somebody else has changed this since you opened it.").waitFor();
    suite.forgive(page, /412/);
    for (const text of ["theirs", "mine", "other"]) await told.getByText(text, { exact: true }).waitFor();
    await screenshots(page, "settings-conflict");
    assert.equal((await suite.api("/api/servers/set")).description, "theirs");
    await told.getByRole("button", { name: "Put my changes on top" }).click();
    assert.equal(await dialog.getByLabel("Entry object").inputValue(), "other");
    assert.equal(await dialog.getByLabel("Description").inputValue(), "mine");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    const server = await suite.api("/api/servers/set");
    assert.deepEqual([server.description, server.entry_object, server.limits.memory_bytes], ["mine", "other", 300 * 1024 * 1024]);

    await page.goto("/#/servers/set/environment");
    await page.getByLabel("Value of A").fill("mine");
    await change("set", "/env", { method: "PUT", data: [{ key: "A", value: "theirs" }, { key: "B", value: "theirs" }, { key: "S", is_secret: true }, { key: "NEW", value: "9" }] });
    await page.getByRole("button", { name: "Save", exact: true }).click();
    const conflict = page.getByRole("alert");
    await conflict.getByText("Somebody else has changed this since you opened it.").waitFor();
    suite.forgive(page, /412/);
    assert.equal(await page.getByLabel("Value of A").inputValue(), "mine");
    await screenshots(page, "environment-conflict");
    await conflict.getByRole("button", { name: "Put my changes on top" }).click();
    assert.deepEqual(await Promise.all(["A", "B", "NEW"].map((key) => page.getByLabel(`Value of ${key}`).inputValue())), ["mine", "theirs", "9"]);
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("The environment was saved.").waitFor();
    const { env } = await suite.api("/api/servers/set/env");
    const values = Object.fromEntries(env.map((/** @type {{ key: string, value: string }} */ one) => [one.key, one.value]));
    assert.deepEqual(values, { A: "mine", B: "theirs", S: "******", NEW: "9" });
  });

  test("what was typed outlives the server, and can be copied and downloaded", async () => {
    await suite.create("doomed");
    const page = await suite.visitSignedIn("/servers/doomed/code");
    await rewrite(page, "doomed", MINE);
    await page.getByRole("button", { name: "Save as next version" }).waitFor();
    await suite.remove("doomed");
    await page.getByRole("heading", { name: 'There is no server "doomed"' }).waitFor();
    const told = page.getByRole("alert");
    await told.getByText("What you typed is still here").waitFor();
    await page.locator(".cm-line", { hasText: "as I do" }).waitFor();
    await page.getByRole("textbox", { name: "Code of doomed" }).fill(`${MINE}# and on\n`);
    await told.getByRole("button", { name: "Copy: doomed.py" }).click();
    await told.getByRole("button", { name: "Copied: doomed.py" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${MINE}# and on\n`);
    const [file] = await Promise.all([page.waitForEvent("download"), told.getByRole("button", { name: "Download doomed.py" }).click()]);
    assert.equal(file.suggestedFilename(), "doomed.py");
    assert.equal(readFileSync(await file.path(), "utf8"), `${MINE}# and on\n`);
    await screenshots(page, "server-gone-unsaved");
    // Another one of that name is not given what was meant for the first.
    await suite.create("doomed");
    await page.getByText("Version 1 has been put into use since you began.").waitFor();
    await page.locator(".cm-line", { hasText: "# and on" }).waitFor();
    await page.getByRole("button", { name: "Discard changes" }).click();
    await page.getByRole("heading", { name: "Version 1" }).waitFor();

    await page.goto("/#/servers/doomed/environment");
    await page.getByRole("button", { name: "Add variable" }).click();
    await page.getByLabel("Key", { exact: true }).fill("TYPED");
    await page.getByLabel("Value of TYPED").fill("for nothing");
    await suite.remove("doomed");
    await told.getByRole("button", { name: "Copy: doomed.env" }).click();
    await told.getByRole("button", { name: "Copied: doomed.env" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'TYPED="for nothing"');
    // Nothing typed any more: nothing to keep.
    await page.getByRole("button", { name: "Discard changes" }).click();
    await page.getByRole("link", { name: "Servers" }).last().waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
  });
}
