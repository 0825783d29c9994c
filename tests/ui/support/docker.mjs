// The few things the suite asks of Docker itself.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { dockerHost } from "./settings.mjs";

const run = promisify(execFile);

/** @param {string[]} args */
export async function docker(...args) {
  const { stdout } = await run("docker", args, { env: { ...process.env, DOCKER_HOST: dockerHost() } });
  return stdout.split("\n").filter(Boolean);
}

/**
 * Containers by instance label: "ID INSTANCE".
 * @param {string} [instance] all instances without it
 */
export async function containers(instance) {
  const filter = instance ? `label=emcp.instance=${instance}` : "label=emcp.instance";
  const lines = await docker("ps", "--all", "--no-trunc", "--filter", filter, "--format", '{{.ID}} {{.Label "emcp.instance"}}');
  return lines.map((line) => ({ id: line.split(" ")[0] ?? "", instance: line.split(" ")[1] ?? "" }));
}

/** @param {string[]} ids */
export async function removeContainers(ids) {
  if (ids.length > 0) await docker("rm", "--force", "--volumes", ...ids).catch(ignoreMissing);
}

/** @param {string} name */
export async function removeNetwork(name) {
  await docker("network", "rm", name).catch(ignoreMissing);
}

/** @param {Error} error */
function ignoreMissing(error) {
  if (!/no such|not found|already in progress/i.test(error.message)) throw error;
}

/**
 * A network on a /21, room for 1,900 servers, that overlaps with no other, in
 * the range reserved for benchmarks (RFC 2544, 198.18.0.0/15).
 * @param {string} name
 * @param {...string} options
 */
export async function createNetwork(name, ...options) {
  for (let attempt = 0; ; attempt += 1) {
    const base = `198.${18 + Math.floor(Math.random() * 2)}.${Math.floor(Math.random() * 32) * 8}.0`;
    try {
      await docker("network", "create", "--subnet", `${base}/21`, "--ip-range", `${base}/25`, "--label", `emcp.instance=${name}`, ...options, name);
      return `${base}/21`;
    } catch (error) {
      if (attempt >= 40 || !String(error).includes("overlap")) throw error;
    }
  }
}
