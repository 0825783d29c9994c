// @ts-check
/**
 * What both TypeScript drivers share; the same input and output as clients/scenario.py.
 *
 * @typedef {{op: string, name?: string, uri?: string, arguments?: Record<string, unknown>}} Step
 * @typedef {{url: string, transport: "sse" | "http", headers: Record<string, string>, steps: Step[],
 *   oauth?: {token: string | null} | null}} Scenario
 * @typedef {{ok: true, value: object} | {ok: false, error: string}} Result
 * @typedef {Record<string, (step: Step) => Promise<object> | object>} Operations
 */
import { readFileSync } from "node:fs";

/**
 * Run the steps in order; a step that fails is reported and the next one still runs.
 * @param {Operations} operations @param {Step[]} steps @returns {Promise<Result[]>}
 */
export async function runSteps(operations, steps) {
  /** @type {Result[]} */
  const results = [];
  for (const step of steps) {
    try {
      const operation = operations[step.op];
      if (!operation) throw new Error(`unknown step '${step.op}'`);
      results.push({ ok: true, value: await operation(step) });
    } catch (error) {
      results.push({ ok: false, error: describe(error) });
    }
  }
  return results;
}

/**
 * The operations both SDK generations spell the same way.
 * @param {any} client
 * @param {(params: object, options: object) => Promise<object>} callTool
 * @returns {Operations}
 */
export function operationsOf(client, callTool) {
  return {
    list_tools: () => client.listTools(),
    list_resources: () => client.listResources(),
    list_prompts: () => client.listPrompts(),
    read_resource: (step) => client.readResource({ uri: step.uri }),
    get_prompt: (step) => client.getPrompt({ name: step.name, arguments: step.arguments ?? {} }),
    call_tool: async (step) => {
      /** @type {object[]} */
      const progress = [];
      const params = { name: step.name, arguments: step.arguments ?? {} };
      const result = await callTool(params, { onprogress: (/** @type {object} */ note) => progress.push(note) });
      return { ...result, progress };
    },
  };
}

/** The cause tells what happened when `fetch failed` alone would not. @param {unknown} error */
export function describe(error) {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.name}: ${error.message}${cause}`;
}

/**
 * Read the scenario, run it, print the report. A failed scenario is a report, not an exit code.
 * @param {string} packageName
 * @param {(scenario: Scenario) => Promise<Result[]>} run
 */
export async function main(packageName, run) {
  /** @type {Scenario} */
  const scenario = JSON.parse(readFileSync(0, "utf8"));
  const manifest = new URL(`./node_modules/${packageName}/package.json`, import.meta.url);
  const report = { client: `${packageName} ${JSON.parse(readFileSync(manifest, "utf8")).version}` };
  try {
    console.log(JSON.stringify({ ...report, error: null, results: await run(scenario) }));
  } catch (error) {
    console.log(JSON.stringify({ ...report, error: describe(error), results: [] }));
  }
}
