// The list of servers: filter, live state, actions for one and for many.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots, tooWide } from "../support/browser.mjs";
import { START_MS } from "../support/suite.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function servers(suite) {
  test("many servers are a table where there is room, and the filter is in the address", async () => {
    const page = await suite.visitSignedIn();
    for (let number = 1; number <= 13; number += 1) await suite.create(`batch-${number}`, { description: number === 7 ? "the seventh" : "" });
    await page.getByRole("table").getByRole("link", { name: "batch-13", exact: true }).waitFor();
    await screenshots(page, "servers-many");
    await page.keyboard.press("/");
    await page.keyboard.type("seventh");
    await page.locator('[data-server="batch-1"]').waitFor({ state: "detached" });
    assert.match(page.url(), /#\/servers\?q=seventh$/);
    await page.reload();
    await page.locator('[data-server="batch-7"]').waitFor();
    assert.equal(await page.locator("[data-server]").count(), 1);
    await page.getByLabel("Search servers").fill("nothing like it");
    await page.getByRole("heading", { name: "No server matches" }).waitFor();
    assert.equal(await page.getByRole("heading", { name: "No servers yet" }).count(), 0);
    await page.getByRole("button", { name: "Show all" }).click();
    await page.locator('[data-server="batch-13"]').waitFor();
    await suite.remove(...Array.from({ length: 13 }, (_, index) => `batch-${index + 1}`));
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
  });

  test("the longest name leaves every column its place, at every width", async () => {
    // A server's name has 40 characters at most, its creator's 64; a hyphen would be a place to break.
    const longest = "l".repeat(40);
    const creator = await suite.token("c".repeat(63), "developer");
    await suite.create(longest, { description: "d".repeat(300), token: creator.token });
    for (let number = 1; number <= 13; number += 1) await suite.create(`short-${number}`);
    const page = await suite.visitSignedIn();
    const row = page.locator(`[data-server="${longest}"]`);
    for (const width of [360, 768, 960, 1_024, 1_280, 1_300, 1_440, 1_920]) {
      await page.setViewportSize({ width, height: 900 });
      await page.locator(width < 960 ? "li.card" : "tr[data-server]").first().waitFor();
      assert.equal(await tooWide(page), null, `${width} px`);
      const hidden = await page.locator(".table-box").evaluateAll((boxes) => boxes.map((box) => box.scrollWidth - box.clientWidth));
      assert.ok(hidden.every((beyond) => beyond <= 0), `${width} px: the table hides ${hidden} px`);
      for (const action of ["Start", "Logs"]) {
        const box = await row.getByLabel(`${action}: ${longest}`).boundingBox();
        assert.ok(box && box.x >= 0 && box.x + box.width <= width, `${width} px: ${action} is out of view`);
      }
      // One thing does not lie over another.
      const overlaps = await row.locator("td, th").evaluateAll((cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.outerHTML.slice(0, 150)));
      assert.deepEqual(overlaps, [], `${width} px`);
    }
    await page.setViewportSize({ width: 1_440, height: 900 });
    await screenshots(page, "servers-long-name");
    await row.getByRole("button", { name: `Start: ${longest}` }).click();
    await suite.waitForServer(longest, "running");
  });

  test("a reload in the middle of a start shows where it is, in the same filter", async () => {
    await suite.create("slow", { start: true });
    const page = await suite.visitSignedIn("/servers?q=slow");
    await page.reload();
    await page.locator('[data-server="slow"] .status[data-status="running"]').waitFor({ timeout: START_MS });
    assert.equal(await page.getByLabel("Search servers").inputValue(), "slow");
  });

  test("two browsers see each other's changes by themselves", async () => {
    const developer = await suite.token("another", "developer");
    const one = await suite.visitSignedIn();
    const other = await suite.visitSignedIn("/servers", { token: developer.token });
    await suite.create("shared", { token: developer.token });
    for (const page of [one, other]) await page.locator('[data-server="shared"] .status[data-status="stopped"]').waitFor();
    await one.getByRole("button", { name: "Start: shared" }).click();
    for (const page of [one, other]) await page.locator('[data-server="shared"] .status[data-status="running"]').waitFor({ timeout: START_MS });
    await other.getByRole("button", { name: "Stop: shared" }).click();
    for (const page of [one, other]) await page.locator('[data-server="shared"] .status[data-status="stopped"]').waitFor({ timeout: START_MS });
    // What the page asks for when it opens has come before the server is gone.
    const asked = ["/events", "/versions"].map((part) => one.waitForResponse((response) => new URL(response.url()).pathname.endsWith(`/shared${part}`)));
    await one.getByRole("link", { name: "shared", exact: true }).click();
    await one.getByRole("heading", { name: "shared", level: 1 }).waitFor();
    await Promise.all(asked);
    await suite.remove("shared");
    await one.getByRole("heading", { name: 'There is no server "shared"' }).waitFor();
    await other.getByRole("heading", { name: "No servers yet" }).waitFor();
  });

  test("chosen servers are started and stopped together, and each refusal is told", async () => {
    for (const name of ["one", "two", "three"]) await suite.create(name);
    const page = await suite.visitSignedIn();
    await page.getByLabel("Choose one").check();
    await page.getByLabel("Choose two").check();
    const bulk = page.getByRole("region", { name: "Chosen servers" });
    await bulk.getByText("2 chosen").waitFor();
    await bulk.getByRole("button", { name: "Start 2" }).click();
    const ask = page.getByRole("dialog", { name: "Start 2 servers?" });
    await ask.getByRole("listitem").first().waitFor();
    assert.deepEqual((await ask.getByRole("listitem").allTextContents()).sort(), ["one", "two"]);
    await ask.getByRole("button", { name: "Start 2" }).click();
    await bulk.getByText("Start: asked of 2, all accepted.").waitFor();
    for (const name of ["one", "two"]) await page.locator(`[data-server="${name}"] .status[data-status="running"]`).waitFor({ timeout: START_MS });
    assert.equal(await page.locator('[data-server="three"] .status').getAttribute("data-status"), "stopped");
    await bulk.getByRole("button", { name: "Close" }).click();

    await page.getByLabel("All (3)").check();
    await bulk.getByText("3 chosen").waitFor();
    await screenshots(page, "servers-chosen");
    // One of them is gone before its turn comes.
    let isFirst = true;
    await page.route("**/action", async (route) => {
      if (isFirst) {
        isFirst = false;
        await suite.remove("two");
      }
      await route.continue();
    });
    for (const deed of ["Stop", "Restart"]) {
      await bulk.getByRole("button", { name: `${deed} 2` }).click();
      const refused = page.getByRole("dialog", { name: `${deed} 2 servers?` });
      await refused.getByRole("listitem").first().waitFor();
      assert.deepEqual((await refused.getByRole("listitem").allTextContents()).sort(), ["one", "two"]);
      await screenshots(page, `servers-bulk-${deed.toLowerCase()}`);
      await refused.getByRole("button", { name: "Cancel" }).click();
      await refused.waitFor({ state: "detached" });
    }
    // Nothing has been asked of anybody yet.
    assert.ok(isFirst);
    for (const name of ["one", "two"]) assert.equal((await suite.api(`/api/servers/${name}`)).desired, "running");
    await bulk.getByRole("button", { name: "Stop 2" }).click();
    await page.getByRole("dialog", { name: "Stop 2 servers?" }).getByRole("button", { name: "Stop 2" }).click();
    await bulk.getByText("Stop: 1 accepted, 1 refused.").waitFor();
    await bulk.locator("li", { hasText: "two" }).getByText("There is no such server (any more).").waitFor();
    suite.forgive(page, /404/);
    await page.locator('[data-server="one"] .status[data-status="stopped"]').waitFor({ timeout: START_MS });
  });

  test("a server that falls asleep is shown so, and is woken from the list", async () => {
    await suite.create("sleeper", { start: true, wait: 60, sleep: { pause_after_secs: 5 } });
    const page = await suite.visitSignedIn();
    const card = page.locator('[data-server="sleeper"]');
    await card.locator('.status[data-status="sleeping"]').waitFor({ timeout: START_MS });
    assert.equal(await card.locator(".wanted").count(), 0);
    await card.getByRole("button", { name: "Start: sleeper" }).click();
    await card.locator('.status[data-status="running"]').waitFor({ timeout: START_MS });
  });

  test("a viewer looks and cannot act", async () => {
    const viewer = await suite.token("looks", "viewer");
    await suite.create("seen");
    const page = await suite.visitSignedIn("/servers", { token: viewer.token });
    await page.locator('[data-server="seen"]').waitFor();
    assert.equal(await page.getByRole("button", { name: "Start: seen" }).count(), 0);
    assert.equal(await page.getByRole("checkbox").count(), 0);
    assert.equal(await page.getByRole("link", { name: "New server" }).count(), 0);
  });

  test("without the stream the page asks, and says so", async () => {
    const page = await suite.open();
    await page.route("**/api/events/stream", (route) => route.abort());
    await page.request.post("/api/session", { data: { token: suite.platform.adminToken }, headers: { Origin: suite.platform.publicUrl } });
    await page.goto("/#/servers");
    await page.getByRole("heading", { name: "No servers yet" }).waitFor();
    await page.getByText("Live updates are interrupted").waitFor();
    await suite.create("asked-for");
    await page.locator('[data-server="asked-for"]').waitFor();
    suite.forgive(page, /ERR_FAILED.*events\/stream/);
  });
}
