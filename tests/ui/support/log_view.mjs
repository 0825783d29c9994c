// A server that writes a log, and where the dashboard shows it.

import { CALCULATOR } from "./suite.mjs";

/** @typedef {import("playwright-core").Page} Page */

/** A file in the container that ends a writer's lines. */
export const ENOUGH = "/tmp/enough";

/**
 * A server that writes numbered lines from a thread, at a steady pace, until
 * there are so many, or enough.
 * @param {{ lines: number, perSecond: number, text?: string }} options
 */
export function writer({ lines, perSecond, text = "" }) {
  // First, since the file goes on no further than to where it serves.
  return `import os, threading, time

def write():
    began = time.monotonic()
    for n in range(1, ${lines} + 1):
        if n % 50 == 0 and os.path.exists("${ENOUGH}"):
            break
        print(f"line {n} ${text}", flush=n % 50 == 0)
        wait = began + n / ${perSecond} - time.monotonic()
        if wait > 0.01:
            time.sleep(wait)
    print("end of lines", flush=True)

threading.Thread(target=write, daemon=True).start()
${CALCULATOR}`;
}

/** @param {Page} page */
export const console_ = (page) => page.getByRole("log", { name: "Lines of the log" });
