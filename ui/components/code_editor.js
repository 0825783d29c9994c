// The Python editor. CodeMirror comes only when an editor is shown; until then,
// or if it does not arrive, a plain text area does the same job.
//
// CodeMirror writes style elements into the document, which our
// Content-Security-Policy forbids. Inside a shadow root it uses constructed
// style sheets instead, so the editor lives in one.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";

/** @typedef {typeof import("../vendor/codemirror.js")} CodeMirror */
/** @typedef {{ line: number, message: string }} Problem */

async function loadCodeMirror() {
  try {
    return await import("../vendor/codemirror.js");
  } catch {
    // The network may have changed just now. Browsers may remember the failure
    // of an address, so the second try has another.
    const again = "../vendor/codemirror.js?again";
    return /** @type {CodeMirror} */ (await import(again));
  }
}

/**
 * @param {{ value: string, onChange?: (text: string) => void, label: string, problem?: Problem | null }} props
 *   read-only without `onChange`
 */
export function CodeEditor({ value, onChange, label, problem = null }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const handle = useRef(/** @type {ReturnType<typeof createEditor> | null} */ (null));
  const [codeMirror, setCodeMirror] = useState(/** @type {CodeMirror | null} */ (null));
  const latest = useRef({ value, onChange });
  latest.current = { value, onChange };

  useEffect(() => {
    let isGone = false;
    loadCodeMirror().then(
      (module) => {
        if (!isGone) setCodeMirror(module);
      },
      () => {}, // The text area stays.
    );
    return () => {
      isGone = true;
    };
  }, []);

  useLayoutEffect(() => {
    if (!codeMirror || !host.current) return undefined;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" });
    const editor = createEditor(codeMirror, root, {
      text: latest.current.value,
      label,
      isReadOnly: !onChange,
      onChange: (text) => {
        latest.current.value = text;
        latest.current.onChange?.(text);
      },
    });
    handle.current = editor;
    return () => {
      handle.current = null;
      editor.view.destroy();
    };
  }, [codeMirror, label, !onChange]);

  useEffect(() => handle.current?.setText(value), [value, codeMirror]);
  useEffect(() => handle.current?.setProblem(problem), [problem?.line, problem?.message, value, codeMirror]);

  if (codeMirror) return html`<div ref=${host} class="editor"></div>`;
  return html`<textarea
    class="editor"
    spellcheck="false"
    autocapitalize="off"
    aria-label=${label}
    readonly=${!onChange}
    value=${value}
    onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => onChange?.(event.currentTarget.value)}
  ></textarea>`;
}

/**
 * @param {CodeMirror} cm
 * @param {ShadowRoot} root
 * @param {{ text: string, label: string, isReadOnly: boolean, onChange: (text: string) => void }} options
 */
function createEditor(cm, root, { text, label, isReadOnly, onChange }) {
  const { EditorState, EditorView } = cm;
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        cm.lineNumbers(),
        cm.lintGutter(),
        cm.history(),
        cm.drawSelection(),
        cm.indentOnInput(),
        cm.indentUnit.of("    "),
        cm.bracketMatching(),
        cm.closeBrackets(),
        cm.highlightActiveLine(),
        cm.highlightActiveLineGutter(),
        cm.highlightSelectionMatches(),
        cm.search({ top: true }),
        cm.python(),
        cm.syntaxHighlighting(highlightStyle(cm)),
        cm.keymap.of([...cm.closeBracketsKeymap, ...cm.searchKeymap, ...cm.historyKeymap, cm.indentWithTab, ...cm.defaultKeymap]),
        EditorState.readOnly.of(isReadOnly),
        // The box around it scrolls, and is reached by this.
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange(update.state.doc.toString());
        }),
        EditorView.domEventHandlers({ beforeinput: (event, view) => replaceSelection(cm, event, view) }),
        theme(cm),
      ],
    }),
  });
  return {
    view,
    /** @param {string} next */
    setText(next) {
      if (next === view.state.doc.toString()) return;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
    },
    /** @param {Problem | null} problem */
    setProblem(problem) {
      const { doc } = view.state;
      const line = problem && problem.line >= 1 && problem.line <= doc.lines ? doc.line(problem.line) : null;
      const marks = line && problem ? [{ from: line.from, to: line.to, severity: /** @type {const} */ ("error"), message: problem.message }] : [];
      view.dispatch(cm.setDiagnostics(view.state, marks));
      if (line) view.dispatch({ effects: EditorView.scrollIntoView(line.from, { y: "center" }) });
    },
  };
}

/**
 * Types over a selection. Left to Chromium, the new text is given the colours
 * of the old one as an inline style, which our Content-Security-Policy blocks
 * and reports.
 * @param {CodeMirror} cm
 * @param {InputEvent} event
 * @param {import("../vendor/codemirror.js").EditorView} view
 */
function replaceSelection({ EditorView }, event, view) {
  const { data, inputType, cancelable } = event;
  const { from, to, empty } = view.state.selection.main;
  if (inputType !== "insertText" || !data || !cancelable || empty || view.composing || view.state.readOnly) return false;
  event.preventDefault();
  const insert = () => view.state.update(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true });
  const isTaken = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, data, insert));
  if (!isTaken) view.dispatch(insert());
  return true;
}

/** @param {CodeMirror} cm */
function theme({ EditorView }) {
  return EditorView.theme({
    "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--field)", fontSize: "0.875rem" },
    "&.cm-focused": { outline: "none" },
    ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
    ".cm-content": { caretColor: "var(--text)", padding: "0.75rem 0" },
    ".cm-cursor": { borderLeftColor: "var(--text)" },
    ".cm-gutters": { backgroundColor: "var(--field)", color: "var(--text-3)", border: "none" },
    ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
    "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selection)" },
    ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--selection)" },
    ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--text)", borderColor: "var(--line)" },
    ".cm-panels input, .cm-panels button": { font: "inherit", color: "inherit", backgroundImage: "none", backgroundColor: "var(--field)", border: "1px solid var(--line)" },
    ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)" },
  });
}

/** @param {CodeMirror} cm */
function highlightStyle({ HighlightStyle, tags }) {
  return HighlightStyle.define([
    { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword, tags.definitionKeyword, tags.moduleKeyword], color: "var(--code-keyword)" },
    { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
    { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
    { tag: tags.comment, color: "var(--text-3)", fontStyle: "italic" },
    { tag: [tags.function(tags.variableName), tags.function(tags.definition(tags.variableName)), tags.meta], color: "var(--code-function)" },
    { tag: [tags.className, tags.definition(tags.className), tags.typeName], color: "var(--code-type)" },
    { tag: tags.invalid, color: "var(--bad)" },
  ]);
}

/** The words for people who use the keyboard only: Tab indents in the editor. */
export function EditorHint() {
  return html`<p class="hint">${t("editor.keys")}</p>`;
}
