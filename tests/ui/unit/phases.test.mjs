import assert from "node:assert/strict";
import { test } from "node:test";
import { changing, versionFate, versionUse } from "../../../ui/lib/phases.js";

/** @type {import("../../../ui/lib/phases.js").Facts} */
const RUNNING = { desired: "running", status: "running", settled: true, hold: false, restart_needed: false };

test("a version is in use where a container of it serves, and nowhere else", () => {
  const use = (/** @type {Partial<typeof RUNNING>} */ facts) => versionUse({ ...RUNNING, ...facts });
  assert.equal(use({}), "inUse");
  assert.equal(use({ status: "sleeping" }), "inUse");
  assert.equal(use({ restart_needed: true }), "nextStart");
  assert.equal(use({ settled: false }), "starting");
  assert.equal(use({ settled: false, status: "building" }), "starting");
  assert.equal(use({ settled: false, status: "starting" }), "starting");
  assert.equal(use({ status: "error" }), "failed");
  assert.equal(use({ desired: "stopped", settled: false }), "stopping");
  assert.equal(use({ desired: "stopped", settled: false, status: "starting" }), "stopping");
  assert.equal(use({ desired: "stopped", status: "stopped" }), "nextStart");
});

test("what goes on is told until it is done, and not of a server that is left alone", () => {
  assert.equal(changing(RUNNING), null);
  assert.equal(changing({ ...RUNNING, settled: false }), "restarting");
  assert.equal(changing({ ...RUNNING, settled: false, status: "building" }), null);
  assert.equal(changing({ ...RUNNING, settled: false, desired: "stopped" }), "stopping");
  assert.equal(changing({ ...RUNNING, settled: false, desired: "stopped", status: "stopped" }), null);
  assert.equal(changing({ ...RUNNING, settled: false, desired: "stopped", hold: true }), null);
  assert.equal(versionUse({ ...RUNNING, settled: false, desired: "stopped", hold: true }), "inUse");
});

test("what comes of a new version is what will be", () => {
  assert.equal(versionFate({ ...RUNNING, settled: false }), "restarting");
  assert.equal(versionFate({ ...RUNNING, hold: true }), "held");
  assert.equal(versionFate({ ...RUNNING, settled: false, desired: "stopped" }), "stopping");
  assert.equal(versionFate({ ...RUNNING, desired: "stopped", status: "stopped" }), "stopped");
});
