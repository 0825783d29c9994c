// What a page costs, measured: make test has nothing run beside it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { console_, writer } from "../support/log_view.mjs";
import { START_MS } from "../support/suite.mjs";

/** @param {import("../support/suite.mjs").Suite} suite */
export default function measured(suite) {
  test("a hundred thousand lines scroll without jank", async (context) => {
    const total = 100_000;
    await suite.create("flood", { code: writer({ lines: total, perSecond: 8_000, text: "of a log that goes on and on \\x1b[32mok\\x1b[0m" }), start: true });
    const page = await suite.visitSignedIn("/servers/flood/logs");
    await page.evaluate(() => {
      /** @type {number[]} */
      const tasks = [];
      Reflect.set(window, "longTasks", tasks);
      new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
    });
    const takeLongTasks = () => page.evaluate(() => /** @type {number[]} */ (Reflect.get(window, "longTasks")).splice(0).map(Math.round));
    // Looked for once a second: to look at each frame would be part of what is measured.
    await page.waitForFunction(() => [...document.querySelectorAll(".log-line")].at(-1)?.textContent?.includes("end of lines"), null, { polling: 1_000, timeout: 2 * START_MS });
    const streaming = await takeLongTasks();
    const held = await console_(page).evaluate((box) => Math.round(box.scrollHeight / 20));
    const drawn = await page.locator(".log-line").count();
    const frames = await console_(page).evaluate(
      (box) =>
        new Promise((resolve) => {
          /** @type {number[]} */
          const times = [];
          const steps = 120;
          const step = (/** @type {number} */ now) => {
            times.push(now);
            if (times.length > steps) {
              resolve(times.slice(1).map((time, at) => time - (times[at] ?? time)));
              return;
            }
            box.scrollTop = (box.scrollHeight - box.clientHeight) * (1 - times.length / steps);
            requestAnimationFrame(step);
          };
          requestAnimationFrame(step);
        }),
    );
    const sorted = /** @type {number[]} */ (frames).sort((a, b) => a - b);
    const scrolling = await takeLongTasks();
    await page.getByLabel("Search in the log").fill("line 99999 ");
    await page.locator(".log-line mark").first().waitFor();
    const searching = await takeLongTasks();
    const at = (/** @type {number} */ share) => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
    const long = (/** @type {number[]} */ tasks) => `${tasks.length} (longest ${Math.max(0, ...tasks)} ms)`;
    context.diagnostic(
      `${held} lines held, ${drawn} drawn; scrolling through all of them: frames of ${at(0.5)} ms (median), ${at(0.95)} ms (95 %); ` +
        `tasks over 50 ms: ${long(streaming)} while they came, ${long(scrolling)} while scrolling, ${long(searching)} in a search`,
    );
    assert.ok(held > 80_000, `${held} lines are held`);
    assert.ok(drawn < 200, `${drawn} lines are drawn`);
    // Bounds that hold on a busy machine too, and that a list without a window
    // of lines misses by far; the numbers above are for people.
    assert.ok(at(0.5) < 100, "scrolling stutters");
    assert.ok(Math.max(0, ...scrolling, ...searching) < 2_000, "the page hangs");
  });
}
