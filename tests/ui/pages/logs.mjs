// The log viewer: what a server writes, live, for as long as it writes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { docker } from "../support/docker.mjs";
import { console_, ENOUGH, writer } from "../support/log_view.mjs";
import { CALCULATOR, START_MS, waitForStatus } from "../support/suite.mjs";
import { until } from "../support/waits.mjs";

/** @typedef {import("playwright-core").Page} Page */

/** @param {Page} page how far above its end the view is */
const distance = (page) => console_(page).evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);

/**
 * Keeps the number of each of our lines that the page gets, as it gets it.
 * @param {Page} page
 */
async function recordSequence(page) {
  /** @type {{ seq: number, line: string }[]} */
  const seen = [];
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      const { seq, line } = JSON.parse(String(payload));
      seen.push({ seq, line });
    }),
  );
  return seen;
}

/** @param {import("../support/suite.mjs").Suite} suite */
export default function logs(suite) {
  test("a crash at start shows its output one click from the status", async () => {
    const code = 'import sys\nprint("reading the settings")\nprint("no DATABASE_URL", file=sys.stderr)\nraise SystemExit(3)\n';
    await suite.create("crashing", { code, start: true });
    const page = await suite.visitSignedIn("/servers/crashing");
    await waitForStatus(page, "error");
    await page.getByRole("link", { name: "See its output" }).click();
    await page.locator('.log-line[data-stream="stderr"]', { hasText: /no DATABASE_URL$/ }).waitFor();
    await page.locator('.log-line[data-stream="stdout"]', { hasText: "reading the settings" }).waitFor();
    await screenshots(page, "logs-crash");
  });

  test("the view follows the newest line until the reader scrolls up, and leads back", async () => {
    const { id } = await suite.create("chatty", { code: writer({ lines: 100_000, perSecond: 200 }), start: true });
    const page = await suite.visitSignedIn("/servers/chatty/logs");
    const newest = async () => Number(/line (\d+) /.exec((await page.locator(".log-line").last().textContent({ timeout: START_MS })) ?? "")?.[1] ?? 0);
    await until("enough lines to scroll", async () => (await newest()) > 300, START_MS / 1000);
    await until("the view to be at the end", async () => (await distance(page)) <= 20);
    await console_(page).hover();
    await page.mouse.wheel(0, -2_000);
    const jump = page.getByRole("button", { name: /Jump to newest \(\d+ new\)/ });
    await jump.waitFor();
    const top = await console_(page).evaluate((box) => box.scrollTop);
    const words = (await jump.textContent()) ?? "";
    await until("more lines to be counted", async () => (await jump.textContent()) !== words);
    // What is read stays where it is while lines come.
    assert.equal(await console_(page).evaluate((box) => box.scrollTop), top);
    await screenshots(page, "logs-scrolled-up");
    await jump.click();
    await jump.waitFor({ state: "detached" });
    await until("the view to be at the end", async () => (await distance(page)) <= 20);

    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("paused", { exact: true }).waitFor();
    const last = await page.locator(".log-line").last().textContent();
    await page.getByRole("button", { name: /Jump to newest \(\d+ new\)/ }).waitFor();
    assert.equal(await page.locator(".log-line").last().textContent(), last);
    await page.getByRole("button", { name: "Resume" }).click();
    const { container_id: container } = await suite.api(`/api/servers/${id}`);
    await docker("exec", container, "touch", ENOUGH);
    await page.locator(".log-line", { hasText: "end of lines" }).waitFor({ timeout: START_MS });
    await until("the view to be at the end", async () => (await distance(page)) <= 20);
  });

  test("lines can be searched, filtered, wrapped, saved and cleared, and runs are told apart", async () => {
    const long = "w".repeat(3_000);
    const code = `import sys
print("\\x1b[1;31mbold red\\x1b[0m plain \\x1b[38;2;1;2;3mtrue colour\\x1b[0m")
print("<script>document.title='hit'</script> \\u202e turned")
print("needle one", file=sys.stderr)
print("${long} tail")
sys.stdout.buffer.write(b"bad \\xff\\xfe bytes\\n")
sys.stdout.flush()
${CALCULATOR}`;
    await suite.create("output", { code, start: true, wait: 60 });
    await suite.api("/api/servers/output/action?wait=60", { method: "POST", data: { action: "restart" } });
    const page = await suite.visitSignedIn("/servers/output/logs");
    const lines = page.locator(".log-line");
    await lines.filter({ hasText: "bold red" }).nth(1).waitFor();
    assert.equal(await lines.locator(".fg-1.bold").first().textContent(), "bold red");
    assert.equal(await lines.getByText("true colour").first().evaluate((span) => getComputedStyle(span).color), "rgb(1, 2, 3)");
    await lines.filter({ hasText: "<script>" }).first().waitFor();
    await lines.filter({ hasText: "bad \ufffd\ufffd bytes" }).first().waitFor();
    assert.ok((await page.locator('.log-line[data-stream="emcp"]').count()) >= 2, "each run has its marker");
    assert.notEqual(await page.title(), "hit");

    await page.keyboard.press("/");
    await page.keyboard.type("NEEDLE");
    await page.locator("mark", { hasText: "needle" }).nth(1).waitFor();
    assert.equal(await page.locator('.log-line:not([data-stream="emcp"])').count(), 2);
    await page.getByRole("checkbox", { name: "stderr" }).uncheck();
    await until("the lines to be gone", async () => (await page.locator('.log-line[data-stream="stderr"]').count()) === 0);
    await page.getByRole("checkbox", { name: "stderr" }).check();
    await page.getByLabel("Search in the log").fill("");

    const wide = await console_(page).evaluate((box) => box.scrollWidth - box.clientWidth);
    assert.ok(wide > 0);
    await page.getByRole("checkbox", { name: "Wrap lines" }).check();
    await page.getByRole("checkbox", { name: "Times" }).uncheck();
    await until("the lines to be wrapped", () => console_(page).evaluate((box) => box.scrollWidth <= box.clientWidth));
    await screenshots(page, "logs-wrapped");
    // Wrapped lines lie below each other, without a gap and without overlap.
    const gaps = await lines.evaluateAll((all) => all.slice(1).map((line, at) => line.getBoundingClientRect().top - /** @type {Element} */ (all[at]).getBoundingClientRect().bottom));
    assert.ok(gaps.every((gap) => Math.abs(gap) < 1), `gaps: ${gaps}`);

    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    assert.equal(file.suggestedFilename(), "output.log");
    const text = readFileSync(await file.path(), "utf8");
    assert.match(text, /^\d{4}-\S+Z stdout bold red plain true colour$/m);
    assert.ok(text.includes(`${long} tail`));

    await page.getByRole("button", { name: "Clear view" }).click();
    await page.getByText("The view was cleared.").waitFor();
    await suite.api("/api/servers/output/action", { method: "POST", data: { action: "restart" } });
    await lines.filter({ hasText: "bold red" }).waitFor({ timeout: START_MS });
    assert.equal(await lines.filter({ hasText: "bold red" }).count(), 1);
  });

  test("lines that are older than the live view are searched, read and saved", async () => {
    const total = 10_000;
    await suite.create("long-log", { code: writer({ lines: total, perSecond: 5_000 }), start: true });
    const kept = async (/** @type {string} */ words) => (await suite.api(`/api/servers/long-log/logs?format=json&limit=10&grep=${words}`)).records;
    await until("the last line to be kept", async () => (await kept("end+of+lines")).length > 0, START_MS / 1000);
    const page = await suite.visitSignedIn("/servers/long-log/logs");
    await page.locator(".log-line", { hasText: "end of lines" }).waitFor();
    const first = page.locator(".log-line").first();
    const numbers = () => page.locator(".log-line").evaluateAll((all) => all.map((line) => Number(line.getAttribute("data-seq"))));
    await page.getByText(/Older ones are kept, from .*: scroll up/).waitFor();

    // Found though it was never sent to this page.
    const [wanted] = await kept("line+7+");
    await page.getByLabel("Search in the log").fill("LINE 7 ");
    await page.locator(`.log-line[data-seq="${wanted.seq}"] mark`).waitFor();
    await page.getByText(/^Matches: 1, in all that is kept/).waitFor();
    await page.getByLabel("Search in the log").fill("no such line");
    await page.getByText("No line matches, in all that is kept.").waitFor();
    await page.getByRole("checkbox", { name: "stdout" }).uncheck();
    await page.getByLabel("Search in the log").fill("line 7 ");
    await page.getByText("No line matches, in all that is kept.").waitFor();
    await page.getByRole("checkbox", { name: "stdout" }).check();
    await page.locator(`.log-line[data-seq="${wanted.seq}"]`).waitFor();
    await screenshots(page, "logs-searched");
    await page.getByLabel("Search in the log").fill("");

    // Up to the first line: what is read stays where it is while older lines come above it.
    await page.locator(".log-line", { hasText: "end of lines" }).waitFor();
    const [last = 0] = (await numbers()).slice(-1);
    await console_(page).hover();
    await page.mouse.wheel(0, -200);
    await page.getByRole("button", { name: /Jump to newest/ }).waitFor();
    await until("the first line", async () => {
      await console_(page).evaluate((box) => (box.scrollTop = 0));
      return (await first.getAttribute("data-seq")) === "1";
    }, START_MS / 1000);
    await page.getByText(`Lines: ${last}, from the first on.`).waitFor();
    const seen = new Set(await numbers());
    const height = await console_(page).evaluate((box) => box.scrollHeight);
    assert.equal(Math.round((height - 20) / 20), last, "each line has its place, once");
    for (let top = 0; top < height; top += 2_000) {
      await console_(page).evaluate((box, to) => (box.scrollTop = to), top);
      await until("the lines there", async () => (await numbers()).some((seq) => Math.abs(seq - top / 20) < 30));
      for (const seq of await numbers()) seen.add(seq);
    }
    assert.ok(seen.has(last / 2) || seen.size > 5_000, `${seen.size} lines were seen`);

    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    const text = readFileSync(await file.path(), "utf8");
    const saved = [...text.matchAll(/ stdout line (\d+) $/gm)].map(([, n]) => Number(n));
    assert.deepEqual(saved, Array.from({ length: total }, (_, index) => index + 1));
  });

  test("lines that are gone from disk too are said to be gone", async () => {
    const code = `print("the first line")\n${writer({ lines: 400, perSecond: 400, text: "x".repeat(30_000) })}`;
    await suite.create("turned-over", { code, start: true });
    const end = async () => (await suite.api("/api/servers/turned-over/logs?format=json&limit=1&grep=end+of+lines")).records.length > 0;
    await until("the last line to be kept", end, START_MS / 1000);
    const page = await suite.visitSignedIn("/servers/turned-over/logs");
    await page.locator(".log-line", { hasText: "end of lines" }).waitFor({ timeout: START_MS });
    await page.getByLabel("Search in the log").fill("the first line");
    await page.getByText("No line matches, in all that is kept.").waitFor();
    await page.getByLabel("Search in the log").fill("");
    await until("the oldest line that is kept", async () => {
      await console_(page).hover();
      await page.mouse.wheel(0, -100_000);
      return page.getByText(/the oldest that is kept\. \d+ before it are gone/).isVisible();
    }, START_MS / 1000);
    assert.match(await (await page.request.get("/api/servers/turned-over/logs?tail=1000000")).text(), /^--- earlier lines are not kept any more ---\n/);
  });

  test("EMCP restarting under an open log leaves no gap and no line twice", async () => {
    await suite.create("steady", { code: writer({ lines: 4_000, perSecond: 100 }), start: true });
    const page = await suite.open();
    const seen = await recordSequence(page);
    await page.request.post("/api/session", { data: { token: suite.platform.adminToken }, headers: { Origin: suite.platform.publicUrl } });
    await page.goto("/#/servers/steady/logs");
    await until("some lines", () => seen.length > 200, START_MS / 1000);
    await suite.platform.stopEmcp();
    await page.getByText("reconnecting").first().waitFor();
    await suite.platform.startEmcp();
    const before = seen.length;
    await page.getByText("live", { exact: true }).waitFor({ timeout: START_MS });
    await until("lines after the restart", () => seen.length > before + 200);
    const numbers = seen.map(({ seq }) => seq);
    assert.deepEqual(numbers, numbers.map((_, at) => (numbers[0] ?? 0) + at), "a gap or a line twice on the wire");
    const written = seen.flatMap(({ line }) => (/^line (\d+) /.test(line) ? [Number(line.split(" ")[1])] : []));
    assert.deepEqual(written, written.map((_, at) => at + 1), "a gap or a line twice in what the server wrote");
    // What is drawn is what came, in its order.
    const drawn = await page.locator(".log-line").evaluateAll((all) => all.map((line) => Number(line.getAttribute("data-seq"))));
    assert.deepEqual(drawn, drawn.map((_, at) => (drawn[0] ?? 0) + at));
    suite.forgive(page, /50[0-9]|WebSocket|ERR_/);
  });
}
