import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { codedWords, faultDetail, faultWords } from "../../../ui/lib/coded_words.js";
import { duration } from "../../../ui/lib/units.js";
import { codesOf, partsOf, together } from "../support/words.mjs";

const codesEn = await codesOf("en");
const codes = await codesOf("zh");
const en = together(await partsOf("en"));

/** @type {import("../../../ui/lib/coded_words.js").Tongue} */
const english = { words: codesEn, language: "en" };
/** @type {import("../../../ui/lib/coded_words.js").Tongue} */
const chinese = { words: codes, language: "zh" };

test("every error code in the API's description has Chinese words", () => {
  const page = readFileSync(new URL("../../../docs/api.md", import.meta.url), "utf8");
  const [, table = ""] = page.split("| status | codes |");
  const documented = [...table.matchAll(/`([a-z_]+)`/g)].map(([, code = ""]) => `error.${code}`);
  assert.ok(documented.length > 40);
  assert.deepEqual(documented.filter((key) => !Object.hasOwn(codes, key) && !Object.hasOwn(en, key)), []);
});

test("a missing module is told with what brings it, and one of the own project otherwise", () => {
  const fault = (/** @type {boolean} */ isOwn) => ({
    code: "missing_dependency",
    message: "original",
    args: { module: "bs4", distribution: "beautifulsoup4", is_own: isOwn },
  });
  assert.match(faultDetail(chinese, fault(false)), /包 beautifulsoup4.*平台管理员/);
  assert.match(faultDetail(chinese, fault(true)), /只上传了这一个文件/);
  assert.match(faultWords(english, fault(true)), /only this one file was uploaded/);
  assert.equal(faultDetail(chinese, { code: "missing_dependency", message: "of a base image of before" }), "Of a base image of before.");
});

test("every template has a Chinese title and description", () => {
  const examples = readdirSync(new URL("../../../examples/", import.meta.url)).filter((file) => file.endsWith(".py"));
  const keys = examples.map((file) => `template.${file.replace(/\.py$/, "")}`).flatMap((key) => [key, `${key}.about`]);
  assert.deepEqual(keys.filter((key) => !Object.hasOwn(codes, key)), []);
});

test("no code has words in two places, and none is left empty", () => {
  assert.deepEqual([...Object.keys(codes), ...Object.keys(codesEn)].filter((key) => Object.hasOwn(en, key)), []);
  for (const words of Object.values(codes)) assert.match(words.replace("{failure}。", "句"), /\p{Script=Han}/u);
  for (const words of Object.values(codesEn)) assert.notEqual(words.trim(), "");
});

test("a sentence is told by its code and arguments in both languages", () => {
  const args = { idle_secs: 5_400 };
  const original = "paused after 1 h 30 min without use; the next request wakes it";
  assert.equal(codedWords(english, "reason", "paused_idle", args, original), "Paused after 1 hr 30 min without use; the next request wakes it.");
  assert.equal(codedWords(chinese, "reason", "paused_idle", args, original), "1小时30分钟无人使用，已暂停；下一个请求会唤醒它。");
  assert.equal(codedWords(chinese, "problem", "module_not_available", { module: "nums", distribution: "nums-py" }, "x"), "镜像中没有模块 nums。请联系管理员添加 nums-py，或改用其他方式；您自己项目中的其他文件不会随此文件上传。");
  assert.equal(codedWords(chinese, "step", "tools_listed", { tools: 1_200 }, "x"), "共 1,200 个工具。");
  assert.equal(codedWords(english, "step", "tools_listed", { tools: 2 }, "2 tools"), "2 tools.");
  // A state's reason is also what happened.
  assert.equal(codedWords(chinese, "event", "serving", undefined, "x"), "已应答 MCP，路由已生效。");
  assert.equal(codedWords(chinese, "event", "environment_set", { variables: 1_200 }, "x"), "环境变量已更新，共 1,200 个。");
});

test("what has no words, or lacks a value, is told as it came", () => {
  assert.equal(codedWords(chinese, "reason", "of_a_newer_emcp", {}, "it went away"), "It went away.");
  assert.equal(codedWords(chinese, "reason", undefined, undefined, "it went away"), "It went away.");
  assert.equal(codedWords(chinese, "reason", "paused_idle", {}, "paused for long"), "Paused for long.");
  assert.equal(codedWords(chinese, "event", "older", { text: "it was so" }, "it was so"), "It was so.");
});

test("a failure is told with its numbers, or with the bootstrap's own words", () => {
  const crash = (/** @type {number} */ exit_code, /** @type {number | undefined} */ signal) => ({ code: "crashed", message: "it ended", args: { exit_code, ...(signal === undefined ? {} : { signal }) } });
  assert.equal(faultWords(chinese, crash(1, undefined)), "服务器已退出，退出码 1。");
  assert.match(faultWords(chinese, crash(0, undefined)), /自行结束/);
  assert.match(faultWords(chinese, crash(137, 9)), /强制终止/);
  assert.match(faultWords(chinese, crash(139, 11)), /信号 11/);
  const hog = { code: "out_of_memory", message: "x", args: { limit_bytes: 64 * 1024 * 1024 } };
  assert.equal(faultWords(chinese, hog), "内存超过 64 MiB 的上限，服务器已被终止。请提高上限，或减少内存占用。");
  const syntax = { code: "syntax_error", message: "line 3: bad {failure}" };
  assert.equal(faultWords(chinese, syntax), "语法错误：line 3: bad {failure}.");
  assert.equal(faultDetail(chinese, syntax), "Line 3: bad {failure}.");
  assert.equal(faultDetail(chinese, hog), faultWords(chinese, hog));
  const args = { failure: crash(1, undefined), wait_secs: 2 };
  assert.equal(codedWords(chinese, "reason", "failed_retrying", args, "x"), "服务器已退出，退出码 1；2秒后重试。");
  assert.equal(codedWords(english, "reason", "failed_retrying", args, "x"), "The server ended with exit code 1; next try in 2 sec.");
  // One of before that has no arguments.
  const failure = { code: "crashed", message: "it ended with 1" };
  assert.equal(codedWords(chinese, "reason", "failed", { failure }, "x"), "It ended with 1。");
});

test("a length of time is told in the reader's language", () => {
  assert.deepEqual([0, 45, 600, 3_601].map((secs) => duration(secs, "en")), ["0 sec", "45 sec", "10 min", "1 hr 1 sec"]);
  assert.deepEqual([45, 600, 5_400].map((secs) => duration(secs, "zh")), ["45秒", "10分钟", "1小时30分钟"]);
});
