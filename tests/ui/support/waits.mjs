// Waiting for a condition, with a deadline.

import { setTimeout as pause } from "node:timers/promises";

/**
 * @template T
 * @param {string} what
 * @param {() => Promise<T> | T} condition truthy ends the wait
 * @param {number} [seconds]
 */
export async function until(what, condition, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await pause(100);
  }
}
