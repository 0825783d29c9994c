// What axe-core finds wrong with a page.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const GRAVE = ["serious", "critical"];

/**
 * Serious and critical findings, a line each.
 * @param {import("playwright-core").Page} page
 */
export async function findings(page) {
  // As the debugger's code and not the page's, so that the page's policy stays
  // as it is.
  await page.evaluate(SOURCE);
  const violations = await page.evaluate(async () => {
    // @ts-expect-error axe is what the line above has brought.
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return /** @type {import("axe-core").Result[]} */ (violations);
  });
  return violations
    .filter(({ impact }) => GRAVE.includes(impact ?? ""))
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary?.replace(/\s+/g, " ")}`));
}
