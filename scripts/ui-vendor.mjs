// Lays the dashboard's third-party modules into ui/vendor/, one file for each
// thing that the pages load, with the types beside it for the type checker.
// scripts/ui.sh runs this; it needs ui/node_modules.

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const UI = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../ui");
const VENDOR = path.join(UI, "vendor");
const { build } = createRequire(path.join(UI, "package.json"))("esbuild");

/** What each file exports. The pages import from these files and from nothing else. */
const FILES = {
  preact: `
    import { h } from "preact";
    import htm from "htm";
    export { h, Fragment, options, render } from "preact";
    export { useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
    export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "@preact/signals";
    export type { Signal } from "@preact/signals";
    export const html = htm.bind(h);
  `,
  codemirror: `
    export { Compartment, EditorState } from "@codemirror/state";
    export { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers, placeholder } from "@codemirror/view";
    export { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
    export { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
    export { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
    export { lintGutter, setDiagnostics } from "@codemirror/lint";
    export { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
    export { python } from "@codemirror/lang-python";
    export { tags } from "@lezer/highlight";
  `,
  // On its own, since most who edit never compare; it shares CodeMirror's
  // classes, which must exist once, by a common file that esbuild splits off.
  merge: `
    export { unifiedMergeView } from "@codemirror/merge";
  `,
};

/** Lets esbuild begin from the texts above. */
const entries = {
  name: "entries",
  setup(build) {
    build.onResolve({ filter: /./ }, ({ kind, path: name }) => (kind === "entry-point" ? { path: name, namespace: "entry" } : undefined));
    build.onLoad({ filter: /./, namespace: "entry" }, ({ path: name }) => ({ contents: FILES[name], resolveDir: UI, loader: "ts" }));
  },
};

await empty(VENDOR);
await build({
  entryPoints: Object.keys(FILES),
  plugins: [entries],
  outdir: VENDOR,
  bundle: true,
  splitting: true,
  chunkNames: "shared-[hash]",
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
});
for (const [name, contents] of Object.entries(FILES)) await writeFile(path.join(VENDOR, `${name}.d.ts`), dedent(contents));
await writeFile(path.join(VENDOR, "LICENSES.txt"), await licences());

/** Removes all but the .gitignore, which is the repository's. */
async function empty(folder) {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (name !== ".gitignore") await rm(path.join(folder, name), { recursive: true });
  }
}

/** The licences ask that their text goes with every copy. */
async function licences() {
  const lock = JSON.parse(await readFile(path.join(UI, "package-lock.json"), "utf8"));
  const texts = [];
  for (const [folder, entry] of Object.entries(lock.packages)) {
    if (!folder.startsWith("node_modules/") || entry.dev || entry.optional) continue;
    const files = await readdir(path.join(UI, folder));
    const file = files.find((name) => /^licen[cs]e/i.test(name));
    const text = file ? await readFile(path.join(UI, folder, file), "utf8") : `Licence: ${entry.license}\n`;
    texts.push(`${folder.replace("node_modules/", "")} ${entry.version}\n\n${text}`);
  }
  return texts.join(`\n${"-".repeat(72)}\n\n`);
}

function dedent(text) {
  return text.trim().replace(/^ +/gm, "") + "\n";
}
