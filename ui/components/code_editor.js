// The Python editor. CodeMirror comes only when an editor is shown; until then,
// or if it does not arrive, a plain text area does the same job.
//
// CodeMirror writes style elements into the document, which our
// Content-Security-Policy forbids. Inside a shadow root it uses constructed
// style sheets instead, so the editor lives in one.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/i18n.js";
import { visible } from "../lib/visible.js";
import { loadCodeMirror, looks } from "./code_mirror.js";

/** @typedef {import("./code_mirror.js").CodeMirror} CodeMirror */
/** @typedef {import("../lib/types.js").Place} Place */

/**
 * Something to say about a part of the code; lines and columns from 1.
 * @typedef {{ place: Place, severity: "error" | "warning", message: string }} Mark
 */

/** @type {Mark[]} */
const NO_MARKS = [];

/**
 * @param {{
 *   value: string, onChange?: (text: string) => void, label: string, marks?: Mark[], goTo?: Place | null,
 * }} props
 *   read-only without `onChange`; a new `goTo` brings that place into view
 */
export function CodeEditor({ value, onChange, label, marks = NO_MARKS, goTo = null }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const handle = useRef(/** @type {ReturnType<typeof createEditor> | null} */ (null));
  const [codeMirror, setCodeMirror] = useState(/** @type {CodeMirror | null} */ (null));
  const latest = useRef({ value, onChange });
  latest.current = { value, onChange };
  /** What was typed and has not come back as `value` yet, in its order. */
  const reported = useRef(/** @type {string[]} */ ([]));

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
        reported.current.push(text);
        latest.current.onChange?.(text);
      },
    });
    handle.current = editor;
    return () => {
      handle.current = null;
      editor.view.destroy();
    };
  }, [codeMirror, label, !onChange]);

  useEffect(() => {
    // What comes back may be older than what is in the editor by now: who types
    // on before the page is drawn must not have it taken back.
    const at = reported.current.indexOf(value);
    if (at >= 0) reported.current.splice(0, at + 1);
    else handle.current?.setText(value);
  }, [value, codeMirror]);
  useEffect(() => handle.current?.setMarks(marks), [marks, codeMirror]);
  useEffect(() => {
    if (goTo) handle.current?.goTo(goTo);
  }, [goTo, codeMirror]);

  if (codeMirror) return html`<div ref=${host} class="editor"></div>`;
  return html`<textarea
    class="editor"
    spellcheck=${false}
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
  let isTold = false;
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        looks(cm),
        cm.lintGutter(),
        cm.history(),
        cm.indentOnInput(),
        cm.indentUnit.of("    "),
        cm.closeBrackets(),
        cm.highlightActiveLine(),
        cm.highlightActiveLineGutter(),
        cm.keymap.of([...cm.closeBracketsKeymap, ...cm.searchKeymap, ...cm.historyKeymap, cm.indentWithTab, ...cm.defaultKeymap]),
        EditorState.readOnly.of(isReadOnly),
        // The box around it scrolls, and is reached by this.
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !isTold) onChange(update.state.doc.toString());
        }),
        EditorView.domEventHandlers({ beforeinput: (event, view) => replaceSelection(cm, event, view) }),
      ],
    }),
  });
  return {
    view,
    /** @param {string} next */
    setText(next) {
      if (next === view.state.doc.toString()) return;
      isTold = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
      isTold = false;
    },
    /** @param {Mark[]} marks */
    setMarks(marks) {
      const { doc } = view.state;
      const diagnostics = marks.flatMap(({ place, severity, message }) => {
        const range = rangeOf(doc, place);
        return range ? [{ ...range, severity, message: visible(message) }] : [];
      });
      view.dispatch(cm.setDiagnostics(view.state, diagnostics));
    },
    /** @param {Place} place */
    goTo(place) {
      const range = rangeOf(view.state.doc, place);
      if (!range) return;
      view.dispatch({ selection: { anchor: range.from }, effects: EditorView.scrollIntoView(range.from, { y: "center" }) });
      if (place.isFocused) view.focus();
    },
  };
}

/**
 * Where a place is in the text, or null where the text has no such line. A
 * place without a column is its whole line; one without an end is the rest of
 * the line.
 * @param {import("../vendor/codemirror.js").EditorState["doc"]} doc
 * @param {Place} place
 */
function rangeOf(doc, place) {
  if (place.line < 1 || place.line > doc.lines) return null;
  const line = doc.line(place.line);
  const from = Math.min(line.from + Math.max((place.column ?? 1) - 1, 0), line.to);
  const lastLine = place.end_line && place.end_line >= place.line && place.end_line <= doc.lines ? doc.line(place.end_line) : line;
  const to = place.end_column ? Math.min(lastLine.from + place.end_column - 1, lastLine.to) : line.to;
  // Behind the end of a line there is nothing to underline.
  return to > from ? { from, to } : { from: line.from, to: line.to };
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
  if (inputType !== "insertText" || !data || !cancelable || view.composing || view.state.readOnly) return false;
  const { from, to } = selected(view);
  if (from === to) return false;
  event.preventDefault();
  const changes = { from, to, insert: data };
  const insert = () => view.state.update({ changes, selection: { anchor: from + data.length }, userEvent: "input.type", scrollIntoView: true });
  const isTaken = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, data, insert));
  if (!isTaken) view.dispatch(insert());
  return true;
}

/**
 * What is about to be typed over. Of a selection that was made just now only
 * the browser knows.
 * @param {import("../vendor/codemirror.js").EditorView} view
 */
function selected(view) {
  const { main } = view.state.selection;
  // Chromium has this for shadow roots too, and it is Chromium that needs it.
  const root = /** @type {{ getSelection?: () => Selection | null }} */ (view.root);
  const { anchorNode, anchorOffset, focusNode, focusOffset } = root.getSelection?.() ?? {};
  if (!main.empty || !anchorNode || !focusNode || !view.contentDOM.contains(anchorNode) || !view.contentDOM.contains(focusNode)) return main;
  const ends = [view.posAtDOM(anchorNode, anchorOffset), view.posAtDOM(focusNode, focusOffset)];
  return { from: Math.min(...ends), to: Math.max(...ends) };
}

/** The words for people who use the keyboard only: Tab indents in the editor. */
export function EditorHint() {
  return html`<p class="hint">${t("editor.keys")}</p>`;
}
