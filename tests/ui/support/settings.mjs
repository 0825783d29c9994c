// What the suite takes from its environment.

import { accessSync, constants } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const UI_TESTS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
export const REPO = path.resolve(UI_TESTS, "../..");
export const SCREENSHOTS = path.join(UI_TESTS, "screenshots");

/**
 * @param {string} variable
 * @param {string} how
 */
function executable(variable, how) {
  const value = process.env[variable];
  if (!value) throw new Error(`set ${variable} to ${how}`);
  accessSync(value, constants.X_OK);
  return path.resolve(value);
}

export const emcpBin = () => executable("EMCP_BIN", "the emcp binary, for example target/debug/emcp after cargo build");
export const traefikBin = () => executable("TRAEFIK_BIN", "a Traefik 3 binary; scripts/traefik-bin.sh gets one");
export const chromiumBin = () => process.env.CHROMIUM_BIN || "/usr/bin/chromium";
export const baseImage = () => process.env.EMCP_BASE_IMAGE || "corp/mcp-base:latest";
export const dockerHost = () => process.env.EMCP_DOCKER_HOST || process.env.DOCKER_HOST || "unix:///var/run/docker.sock";
