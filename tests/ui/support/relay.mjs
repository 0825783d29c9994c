// Passes connections on, as the two ends of a tunnel between the network of
// Chromium and that of the platform; see apart.sh.
//
//   node relay.mjs FROM TO     each a port of 127.0.0.1 or the path of a socket

import net from "node:net";
import { fileURLToPath } from "node:url";

/**
 * @param {string} from
 * @param {string} to
 * @returns {Promise<net.Server>}
 */
export function relay(from, to) {
  const server = net.createServer((near) => {
    const far = net.connect(place(to));
    near.pipe(far).pipe(near);
    near.on("error", () => far.destroy());
    far.on("error", () => near.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(place(from), () => resolve(server));
  });
}

/** @param {string} text */
function place(text) {
  return /^\d+$/.test(text) ? { host: "127.0.0.1", port: Number(text) } : { path: text };
}

const [, script, from, to] = process.argv;
if (script === fileURLToPath(import.meta.url) && from && to) await relay(from, to);
