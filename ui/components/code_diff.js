// What changes from one text to the next, in one column so that it has room on
// a phone too.

import { html, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { ApiError } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { visible } from "../lib/visible.js";
import { loadCodeMirror, looks } from "./code_mirror.js";
import { Loading } from "./controls.js";
import { ReadFailure } from "./read_failure.js";

/** Finding the smallest difference may take for ever; a rough one is shown then. */
const DIFF_MAX_MS = 500;

/** @param {{ before: string, after: string, label: string }} props */
export function CodeDiff({ before, after, label }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [state, setState] = useState(/** @type {"loading" | "shown" | unknown} */ ("loading"));
  const [tries, setTries] = useState(0);

  useLayoutEffect(() => {
    let isGone = false;
    /** @type {import("../vendor/codemirror.js").EditorView | null} */
    let view = null;
    const show = async () => {
      try {
        const [cm, { unifiedMergeView }] = await Promise.all([loadCodeMirror(), import("../vendor/merge.js")]);
        if (isGone || !host.current) return;
        const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
        const { EditorState, EditorView } = cm;
        view = new EditorView({
          parent: root,
          root,
          state: EditorState.create({
            // What was taken out is drawn as plain text.
            doc: visible(after),
            extensions: [
              looks(cm),
              cm.keymap.of([...cm.searchKeymap, ...cm.defaultKeymap]),
              EditorState.readOnly.of(true),
              EditorState.phrases.of({ "$ unchanged lines": t("diff.unchanged") }),
              EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
              unifiedMergeView({
                original: visible(before),
                mergeControls: false,
                syntaxHighlightDeletions: true,
                collapseUnchanged: { margin: 3, minSize: 6 },
                diffConfig: { scanLimit: 5_000, timeout: DIFF_MAX_MS },
              }),
            ],
          }),
        });
        setState("shown");
      } catch (problem) {
        if (!isGone) setState(new ApiError(0, "no_answer", String(problem)));
      }
    };
    void show();
    return () => {
      isGone = true;
      view?.destroy();
    };
  }, [before, after, label, tries]);

  if (before === after) return html`<p class="hint">${t("diff.same")}</p>`;
  return html`
    ${state === "loading" && html`<${Loading} />`}
    ${state instanceof ApiError &&
    html`<${ReadFailure}
      error=${state}
      onRetry=${() => {
        setState("loading");
        setTries(tries + 1);
      }}
    />`}
    <div ref=${host} class="editor diff" hidden=${state !== "shown"}></div>
  `;
}
