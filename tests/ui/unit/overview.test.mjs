import assert from "node:assert/strict";
import { test } from "node:test";
import { auditPath } from "../../../ui/lib/audit.js";
import { joined, needsAttention } from "../../../ui/lib/overview.js";
import { settingRows } from "../../../ui/lib/setting_rows.js";

/** @param {number} seconds */
const sample = (seconds, value = 0) => ({ at: new Date(seconds * 1000).toISOString(), cpu_cores: value, memory_bytes: value });

test("samples of two sources become one series of ten minutes, each time once", () => {
  const series = joined([sample(0), sample(595), sample(600)], [sample(600, 1), sample(605)]);
  assert.deepEqual(series.map(({ at }) => Date.parse(at) / 1000), [595, 600, 605]);
  assert.equal(series[1]?.cpu_cores, 1);
});

/**
 * @param {string} id
 * @param {"running" | "unresponsive" | "error"} status
 */
const server = (id, status) => /** @type {import("../../../ui/lib/types.js").Server} */ ({ id, name: id, status, reason: "it broke", since: "2026-01-01T00:00:00Z" });
/** @param {string} id */
const told = (id) => ({ server: { id, name: id }, status: /** @type {const} */ ("error"), code: "crashed", reason: "it broke", reason_code: "of_a_newer_emcp", since: "2026-01-01T00:00:00Z" });

test("what needs attention is what EMCP told and still holds, and what failed since", () => {
  const servers = [server("a", "error"), server("b", "running"), server("c", "error")];
  assert.deepEqual(needsAttention(servers, [told("a"), told("b"), told("gone")]).map((item) => item.server.id), ["c", "a"]);
  assert.deepEqual(needsAttention(servers).map((item) => item.server.id), ["a", "c"]);
});

test("a server that answers nothing is told of before EMCP lists it", () => {
  const servers = [server("a", "running"), server("b", "unresponsive")];
  assert.deepEqual(needsAttention(servers).map(({ server: { id }, code }) => [id, code]), [["b", "unresponsive"]]);
});

test("settings become lines, nested ones and those that are new too", () => {
  assert.deepEqual(settingRows({ version: "1", engine: null, limits: { memory_bytes: 5 }, certificate: { expires_at: "x" }, list: ["a", "b"], grace_secs: 10 }), [
    { key: "version", kind: "plain", value: "1" },
    { key: "engine", kind: "plain", value: null },
    { key: "limits.memory_bytes", kind: "bytes", value: 5 },
    { key: "certificate.expires_at", kind: "time", value: "x" },
    { key: "list", kind: "plain", value: "a, b" },
    { key: "grace_secs", kind: "seconds", value: 10 },
  ]);
});

test("a part of the audit log has an address", () => {
  assert.equal(auditPath({ actor: "", action: "" }, null), "/api/audit?limit=50");
  assert.equal(auditPath({ actor: "a b", action: "server.create" }, 7), "/api/audit?limit=50&actor=a+b&action=server.create&before=7");
});
