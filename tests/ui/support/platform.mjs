// A whole platform under test: `emcp serve` and Traefik as processes of the
// host, servers as real containers. The same shape as tests/e2e/support.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { containers, createNetwork, docker, removeContainers, removeNetwork } from "./docker.mjs";
import { newName, ownerLives, RUN_PREFIX } from "./owner.mjs";
import { INSPECTOR_ORIGIN } from "./inspector.mjs";
import { baseImage, dockerHost, emcpBin, traefikBin } from "./settings.mjs";
import { until } from "./waits.mjs";

const STOP_DEADLINE_MS = 15_000;

export class Platform {
  static async start() {
    await removeLeftovers();
    const platform = new Platform();
    try {
      await platform.#start();
    } catch (error) {
      console.error(platform.logTail());
      await platform.stop();
      throw error;
    }
    return platform;
  }

  constructor() {
    this.instance = newName();
    this.runDir = path.join(os.tmpdir(), this.instance);
    this.dataDir = path.join(this.runDir, "data");
    /** @type {import("node:child_process").ChildProcess[]} */
    this.processes = [];
    this.publicUrl = "";
    this.adminToken = "";
  }

  async #start() {
    mkdirSync(this.runDir);
    const subnet = await createNetwork(this.instance);
    const internalSubnet = await createNetwork(`${this.instance}-internal`, "--internal");
    const [listen, internal, https, plain] = await freePorts(4);
    this.publicUrl = `https://localhost:${https}`;
    this.upstreamUrl = `http://127.0.0.1:${listen}`;
    this.internalUrl = `http://127.0.0.1:${internal}`;
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("EMCP_"));
    this.environment = {
      ...Object.fromEntries(inherited),
      EMCP_DATA_DIR: this.dataDir,
      EMCP_DOCKER_HOST: dockerHost(),
      EMCP_BROKER: path.join(this.runDir, "broker"),
      EMCP_INSTANCE: this.instance,
      EMCP_NETWORK: this.instance,
      EMCP_SUBNET: subnet,
      EMCP_INTERNAL_SUBNET: internalSubnet,
      EMCP_FIREWALL: "off",
      EMCP_BASE_IMAGE: baseImage(),
      // Three questions in a row that are not answered tell of a silent server.
      EMCP_LIVENESS_INTERVAL_SECS: "3",
      EMCP_ALLOWED_ORIGINS: INSPECTOR_ORIGIN,
      EMCP_PUBLIC_URL: this.publicUrl,
      EMCP_LISTEN: `127.0.0.1:${listen}`,
      EMCP_INTERNAL_LISTEN: `127.0.0.1:${internal}`,
      EMCP_INTERNAL_URL: this.internalUrl,
      EMCP_UPSTREAM_URL: this.upstreamUrl,
      EMCP_HTTPS_ADDRESS: `127.0.0.1:${https}`,
      EMCP_HTTPS_PORT: String(https),
      EMCP_HTTP_ADDRESS: `127.0.0.1:${plain}`,
      EMCP_HTTP_PORT: String(plain),
    };
    this.#spawn("broker", emcpBin(), ["broker"]);
    await this.startEmcp();
    this.adminToken = readFileSync(path.join(this.dataDir, "admin-token"), "utf8").trim();
    this.#spawn("traefik", traefikBin(), [`--configFile=${path.join(this.dataDir, "traefik", "traefik.yml")}`]);
    await until("emcp to be ready", () => this.#answers(`${this.internalUrl}/readyz`));
  }

  /** Starts EMCP, at first or after `stopEmcp`. */
  async startEmcp() {
    this.emcp = this.#spawn("emcp", emcpBin(), ["serve"]);
    await until("emcp to listen", () => this.#answers(`${this.upstreamUrl}/healthz`));
  }

  async stopEmcp() {
    if (!this.emcp) return;
    this.processes = this.processes.filter((child) => child !== this.emcp);
    await end(this.emcp);
  }

  /** Ends and removes everything. */
  async stop() {
    await Promise.all(this.processes.map(end));
    const own = await containers(this.instance);
    await removeContainers(own.map(({ id }) => id));
    await removeNetwork(this.instance);
    await removeNetwork(`${this.instance}-internal`);
    rmSync(this.runDir, { recursive: true, force: true });
  }

  /** The end of each log, for the report of a failed test. */
  logTail() {
    return ["emcp.log", "broker.log", "traefik.log"]
      .map((name) => path.join(this.runDir, name))
      .filter((file) => existsSync(file))
      .map((file) => `${file}:\n${readFileSync(file, "utf8").split("\n").slice(-25).join("\n")}`)
      .join("\n");
  }

  /**
   * @param {string} name
   * @param {string} command
   * @param {string[]} args
   */
  #spawn(name, command, args) {
    const log = openSync(path.join(this.runDir, `${name}.log`), "a");
    const child = spawn(command, args, { env: this.environment, cwd: this.runDir, stdio: ["ignore", log, log] });
    this.processes.push(child);
    appendFileSync(path.join(this.runDir, "pids"), `${child.pid}\n`);
    return child;
  }

  /** @param {string} url */
  async #answers(url) {
    const ended = this.processes.find((child) => child.exitCode !== null);
    if (ended) throw new Error(`${ended.spawnfile} ended with ${ended.exitCode}`);
    return new Promise((resolve) => {
      http
        .get(url, (response) => {
          response.resume();
          resolve(response.statusCode === 200);
        })
        .on("error", () => resolve(false));
    });
  }
}

/** @param {import("node:child_process").ChildProcess} child */
async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
  await exited;
  clearTimeout(timer);
}

/** Removes what runs that were killed left behind. */
async function removeLeftovers() {
  const isDead = (/** @type {string} */ name) => name.startsWith(RUN_PREFIX) && !ownerLives(name);
  const folders = readdirSync(os.tmpdir()).filter(isDead);
  for (const folder of folders) killRecorded(path.join(os.tmpdir(), folder));
  const dead = (await containers()).filter(({ instance }) => isDead(instance));
  await removeContainers(dead.map(({ id }) => id));
  const networks = await docker("network", "ls", "--format", "{{.Name}}");
  for (const network of networks.filter(isDead)) await removeNetwork(network);
  for (const folder of folders) rmSync(path.join(os.tmpdir(), folder), { recursive: true, force: true });
}

/**
 * Ends the processes noted in a run's folder, unless their id belongs to
 * something else by now.
 * @param {string} folder
 */
function killRecorded(folder) {
  const file = path.join(folder, "pids");
  if (!existsSync(file)) return;
  for (const pid of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    try {
      if (readFileSync(`/proc/${pid}/environ`, "utf8").includes(folder)) process.kill(Number(pid), "SIGKILL");
    } catch {
      // It is gone already.
    }
  }
}

/**
 * Different ports nothing listens on, below those that Linux gives to outgoing
 * connections, so that none of these takes one meanwhile, nor do the tests in
 * Python, which have those from 20,000 on.
 * @param {number} count
 */
async function freePorts(count) {
  /** @type {Map<number, net.Server>} */
  const found = new Map();
  while (found.size < count) {
    const port = 30_000 + Math.floor(Math.random() * 2_000);
    const server = net.createServer();
    const isFree = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (isFree) found.set(port, server);
  }
  for (const server of found.values()) server.close();
  return [...found.keys()];
}
