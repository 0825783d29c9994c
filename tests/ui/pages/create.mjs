// From an empty page to a connected client, and what may go wrong on the way.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { UI_TESTS } from "../support/settings.mjs";
import { CALCULATOR, START_MS, waitForStatus, writeCode } from "../support/suite.mjs";

/** @typedef {import("playwright-core").Page} Page */

/** A check is a container of its own, which on a busy machine is slow to start. */
const CHECKED = { timeout: 60_000 };

const SYNTAX_ERROR = CALCULATOR.replace("return a + b", "return a +");

/**
 * What the official client says that was given this configuration.
 * @param {string} config
 * @param {string} ca
 * @param {string[]} call
 * @returns {Promise<{ tools: string[], answer: { content: { type: string, text: string }[] } }>}
 */
function askAsClient(config, ca, ...call) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
    const client = execFile(process.execPath, [path.join(UI_TESTS, "support", "mcp_client.mjs"), ...call], { env, timeout: 60_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(JSON.parse(stdout));
    });
    client.stdin?.end(config);
  });
}

/**
 * Drops a file where code is written.
 * @param {Page} page
 * @param {string} name
 * @param {number[] | string} content a text, or bytes
 */
async function drop(page, name, content) {
  const data = await page.evaluateHandle(
    ([fileName, given]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([typeof given === "string" ? given : new Uint8Array(/** @type {number[]} */ (given))], String(fileName)));
      return transfer;
    },
    /** @type {const} */ ([name, content]),
  );
  await page.dispatchEvent(".code-input", "drop", { dataTransfer: data });
}

/** @param {Page} page */
const createButton = (page) => page.getByRole("button", { name: "Create server" });

/** @param {import("../support/suite.mjs").Suite} suite */
export default function create(suite) {
  test("from an empty page to a client that calls a tool with the copied configuration", async (context) => {
    const page = await suite.visitSignedIn("/servers");
    const began = Date.now();
    await page.getByRole("link", { name: "Create the first server" }).click();
    await page.getByLabel("Name", { exact: true }).fill("calculator");
    await writeCode(page, CALCULATOR);
    await page.getByText("This name is free.").waitFor();
    await page.getByText("No problems found.").waitFor(CHECKED);
    await screenshots(page, "create");
    await createButton(page).click();
    await waitForStatus(page, "running");
    await page.getByRole("navigation", { name: "calculator" }).getByRole("link", { name: "Connection" }).click();
    await page.getByRole("button", { name: "Make a connect token" }).click();
    await page.getByText("The new token is in the configurations below.").waitFor();
    for (const transport of ["Streamable HTTP", "SSE"]) {
      await page.getByRole("group", { name: "Transport" }).getByRole("button", { name: transport }).click();
      await page.getByRole("button", { name: "Copy: Cherry Studio" }).click();
      await page.getByRole("button", { name: "Copied: Cherry Studio" }).waitFor();
      const config = await page.evaluate(() => navigator.clipboard.readText());
      const ca = path.join(suite.platform.dataDir, "ca.crt");
      const { tools, answer } = await askAsClient(config, ca, "divide", '{"dividend":"1","divisor":"3"}');
      assert.deepEqual(tools, ["add", "divide"]);
      assert.equal(answer.content[0]?.text, "1/3");
      const link = await page.getByRole("link", { name: "Add to Cherry Studio" }).getAttribute("href");
      const inLink = Buffer.from(new URL(link ?? "").searchParams.get("servers") ?? "", "base64").toString();
      assert.deepEqual(JSON.parse(inLink), JSON.parse(config));
      await page.getByRole("button", { name: "Copy: Cherry Studio" }).waitFor();
    }
    context.diagnostic(`from the empty page to two answers of a tool: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  });

  test("a syntax error is marked in its line before anything starts", async () => {
    const page = await suite.visitSignedIn("/new");
    await page.getByLabel("Name", { exact: true }).fill("wrong");
    await writeCode(page, SYNTAX_ERROR);
    const report = page.locator(".check-report");
    await report.getByText("Syntax error.").waitFor(CHECKED);
    await page.locator(".cm-line .cm-lintRange-error").waitFor();
    await screenshots(page, "create-syntax-error");
    await report.getByRole("button", { name: "Line 13" }).click();
    await page.locator(".editor:focus-within").waitFor();
    await page.keyboard.press("End");
    // Quicker than the page is drawn, as people do in bursts.
    await page.keyboard.type(" b  # typed in one go, and not taken back");
    await page.locator(".cm-line", { hasText: "return a + b  # typed in one go, and not taken back" }).waitFor();
    await page.getByText("No problems found.").waitFor(CHECKED);
    await page.locator(".cm-lintRange-error").waitFor({ state: "detached" });

    await writeCode(page, SYNTAX_ERROR);
    await createButton(page).click();
    await page.getByText("The check found errors in the code.").waitFor(CHECKED);
    assert.equal((await suite.api("/api/servers")).total, 0, "nothing was created");
    await page.getByRole("button", { name: "Create anyway" }).click();
    await waitForStatus(page, "error");
  });

  test("a missing entry object is found before anything starts", async () => {
    const page = await suite.visitSignedIn("/new");
    await page.getByLabel("Name", { exact: true }).fill("entryless");
    await writeCode(page, "print('no server in here')\n");
    await page.getByText("There is no MCP server in this file.").waitFor(CHECKED);
    await page.getByRole("button", { name: "中文" }).click();
    await page.getByText("文件没有创建 MCP 服务器；例如需要 mcp = FastMCP(...)。").waitFor();
    await page.getByRole("button", { name: "English" }).click();
    await page.getByText("The file makes no MCP server; it needs, for example, mcp = FastMCP(...).").waitFor();
    await writeCode(page, `${CALCULATOR}\nother = FastMCP("Other")\n`.replace("mcp = ", "first = ").replaceAll("@mcp.", "@first.").replace("mcp.run()", "pass"));
    await page.getByText("Entry object, limits and more").click();
    await page.getByLabel("Entry object").fill("missing");
    await page.getByText("The entry object is missing.").waitFor(CHECKED);
    await page.getByLabel("Entry object").fill("first");
    await page.getByText("No problems found.").waitFor(CHECKED);
    await page.getByText("MCP objects: first, other").waitFor();
    await page.getByText("This name is free.").waitFor();
    await createButton(page).click();
    await waitForStatus(page, "running");
  });

  test("names that are taken, reserved or against the rules are refused while they are typed", async () => {
    await suite.create("mine");
    const page = await suite.visitSignedIn("/new");
    const name = page.getByLabel("Name", { exact: true });
    for (const [typed, words] of /** @type {const} */ ([
      ["mine", "Another server has this name."],
      ["My_Server", "Use lower-case letters"],
      ["tokens", "EMCP uses this word itself"],
      ["x".repeat(41), "Use at most 40 characters."],
      ["mine-2", "This name is free."],
    ])) {
      await name.fill(typed);
      await page.getByText(words).waitFor();
    }
    assert.ok(await createButton(page).isDisabled(), "there is no code yet");
    // Taken by somebody else between the look and the click.
    await writeCode(page, CALCULATOR);
    await suite.create("mine-2");
    await createButton(page).click();
    await page.getByText("Another server has this name.").waitFor();
    assert.equal(await name.inputValue(), "mine-2");
    suite.forgive(page, /409/);
  });

  test("files are taken by dropping them; those that cannot be Python are refused with the reason", async () => {
    const page = await suite.visitSignedIn("/new");
    await page.locator(".cm-editor").waitFor();
    await drop(page, "big.py", `# ${"x".repeat(1_100_000)}`);
    await page.getByText('"big.py" has 1075 KiB').waitFor();
    await drop(page, "photo.py", [0xff, 0xd8, 0xff, 0x00]);
    await page.getByText('"photo.py" is not text in UTF-8').waitFor();
    await screenshots(page, "create-refused");
    await drop(page, "My Tools.py", CALCULATOR);
    await page.getByText("is not text in UTF-8").waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "my-tools");
    await page.locator(".cm-line", { hasText: "FastMCP(" }).waitFor();
    await page.setInputFiles('input[type="file"]', { name: "other.py", mimeType: "text/x-python", buffer: Buffer.from("# chosen\n") });
    await page.locator(".cm-line", { hasText: "# chosen" }).waitFor();
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "my-tools");
    // Pasted text can be too large as well.
    await writeCode(page, `# ${"x".repeat(1_100_000)}`);
    await page.getByText("The code is larger than 1024 KiB").waitFor();
    assert.ok(await createButton(page).isDisabled());
  });

  test("a reload in the middle of typing loses nothing but secrets, and leaving asks first", async () => {
    const page = await suite.visitSignedIn("/servers");
    await page.keyboard.press("n");
    await page.getByLabel("Name", { exact: true }).fill("draft");
    await page.getByLabel("Description").fill("half written");
    await writeCode(page, CALCULATOR);
    await page.getByRole("button", { name: "Add secret" }).click();
    await page.getByLabel("Key", { exact: true }).fill("API_KEY");
    await page.getByLabel("Value of API_KEY").fill("very secret");
    page.on("dialog", (dialog) => dialog.accept());
    await page.reload();
    await page.getByText("What you had typed before is still here").waitFor();
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "draft");
    assert.equal(await page.getByLabel("Description").inputValue(), "half written");
    await page.locator(".cm-line", { hasText: "FastMCP(" }).waitFor();
    assert.equal(await page.getByLabel("Value of API_KEY").inputValue(), "");
    assert.ok(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes("very secret"));

    const guard = page.getByRole("dialog", { name: "Leave without saving?" });
    await page.getByRole("link", { name: "Servers", exact: true }).click();
    await guard.getByRole("button", { name: "Stay here" }).click();
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "draft");
    await page.goBack();
    await guard.waitFor();
    assert.match(page.url(), /#\/new$/);
    await page.keyboard.press("Escape");
    await guard.waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Servers", exact: true }).click();
    await guard.getByRole("button", { name: "Leave" }).click();
    await page.getByRole("heading", { name: "Servers", level: 1 }).waitFor();
    await page.goto("/#/new");
    await page.getByRole("heading", { name: "New server" }).waitFor();
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "");
  });

  test("limits are part of a new server, and a template fills the form", async () => {
    const page = await suite.visitSignedIn("/new");
    const { templates } = await suite.api("/api/templates");
    const [template] = templates;
    await page.goto(`/#/new?template=${template.id}`);
    await page.reload();
    await page.locator(".cm-line", { hasText: template.code.split("\n").find((/** @type {string} */ line) => line.trim()) }).first().waitFor();
    await page.getByLabel("Name", { exact: true }).fill("from-template");
    await page.getByText("Entry object, limits and more").click();
    await page.getByLabel("Memory limit (MiB)").fill("10");
    await page.getByText("Write a number from 64").waitFor();
    assert.ok(await createButton(page).isDisabled());
    await page.getByLabel("Memory limit (MiB)").fill("256");
    await page.getByRole("group", { name: "Outgoing connections" }).getByRole("button", { name: "None" }).click();
    await page.getByLabel("Headers for the server's own check").fill("Authorization, X-Upstream-Token");
    const sleep = page.getByRole("group", { name: "Sleep when nobody uses it" });
    await sleep.getByRole("button", { name: "After a time" }).click();
    await page.getByLabel("Stop after minutes").fill("5");
    await page.getByText("Stopping comes after pausing.").waitFor();
    await page.getByLabel("Stop after minutes").fill("90");
    await page.getByLabel("Arguments").fill("--rows\n\n  2 \n");
    await page.getByLabel("Storage (MiB)").fill("8");
    await page.getByText("Write a number from 16").waitFor();
    assert.ok(await createButton(page).isDisabled());
    await page.getByLabel("Storage (MiB)").fill("32");
    await screenshots(page, "create-options");
    await page.getByRole("checkbox", { name: "Start it now" }).uncheck();
    await page.getByText("This name is free.").waitFor();
    await createButton(page).click();
    await page.getByRole("heading", { name: "from-template", level: 1 }).waitFor();
    const made = await suite.api("/api/servers/from-template");
    assert.equal(made.limits.memory_bytes, 256 * 1024 * 1024);
    assert.equal(made.desired, "stopped");
    assert.equal(made.egress, "none");
    assert.deepEqual([made.args, made.storage], [["--rows", "2"], { size_bytes: 32 * 1024 * 1024 }]);
    assert.deepEqual(made.pass_headers, ["Authorization", "X-Upstream-Token"]);
    assert.deepEqual(made.sleep, { pause_after_secs: 600, stop_after_secs: 5_400 });
    await page.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Headers for the server's own check").fill("authorization");
    await sleep.getByRole("button", { name: "Never" }).click();
    const dialog = page.getByRole("dialog");
    assert.equal(await dialog.getByLabel("Arguments").inputValue(), "--rows\n2");
    await dialog.getByLabel("Arguments").fill("--rows=3");
    await dialog.getByLabel("Storage (MiB)").fill("31");
    await page.getByText("Storage can only grow.").waitFor();
    assert.ok(await dialog.getByRole("button", { name: "Save" }).isDisabled());
    await dialog.getByLabel("Storage (MiB)").fill("48");
    await screenshots(page, "server-settings");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    const changed = await suite.api("/api/servers/from-template");
    assert.deepEqual([changed.args, changed.storage], [["--rows=3"], { size_bytes: 48 * 1024 * 1024 }]);
    assert.deepEqual(changed.pass_headers, ["authorization"]);
    assert.deepEqual([changed.sleep, changed.egress, changed.limits.memory_bytes], ["never", "none", 256 * 1024 * 1024]);
  });

  test("the whole form works with the keyboard alone", async () => {
    const page = await suite.visitSignedIn("/servers");
    await page.keyboard.press("n");
    await page.getByRole("heading", { name: "New server" }).waitFor();
    await page.locator(".cm-editor").waitFor();
    await page.getByLabel("Name", { exact: true }).focus();
    await page.keyboard.type("by-keyboard");
    await page.keyboard.press("Tab");
    await page.keyboard.type("written without a mouse");
    const focused = () => page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent?.trim());
    for (let steps = 0; (await focused()) !== "Python code"; steps += 1) {
      assert.ok(steps < 6, "Tab leads into the editor");
      await page.keyboard.press("Tab");
    }
    await page.keyboard.insertText(CALCULATOR);
    await page.keyboard.press("Escape");
    for (let steps = 0; (await focused()) !== "Create server"; steps += 1) {
      assert.ok(steps < 12, "Esc and Tab lead out of the editor, to the button");
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "by-keyboard", level: 1 }).waitFor();
    await waitForStatus(page, "running");
  });
}
