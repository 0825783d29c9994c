// What every editor has in common: CodeMirror, which comes when it is first
// needed, and how it looks.

/** @typedef {typeof import("../vendor/codemirror.js")} CodeMirror */

/** @returns {Promise<CodeMirror>} */
export async function loadCodeMirror() {
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
 * What shows Python, whoever may write it.
 * @param {CodeMirror} cm
 */
export function looks(cm) {
  return [
    cm.lineNumbers(),
    // Characters that hide or reorder others are shown as what they are.
    cm.highlightSpecialChars({ addSpecialChars: /[\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0]/g }),
    cm.drawSelection(),
    cm.bracketMatching(),
    cm.highlightSelectionMatches(),
    cm.search({ top: true }),
    cm.python(),
    cm.syntaxHighlighting(highlightStyle(cm)),
    theme(cm),
  ];
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
    ".cm-diagnostic": { overflowWrap: "anywhere", maxWidth: "min(36rem, 80vw)" },
    ".cm-specialChar": { color: "var(--bad)" },
    ".cm-changedLine, &.cm-merge-b .cm-changedLine": { backgroundColor: "var(--good-soft)" },
    ".cm-deletedChunk": { backgroundColor: "var(--bad-soft)" },
    "&.cm-merge-b .cm-changedText": { background: "none", textDecoration: "underline", textDecorationColor: "var(--good)" },
    ".cm-deletedChunk .cm-deletedText": { background: "none", textDecoration: "underline", textDecorationColor: "var(--bad)" },
    "&.cm-merge-b .cm-changedLineGutter": { backgroundColor: "var(--good)" },
    ".cm-deletedLineGutter": { backgroundColor: "var(--bad)" },
    ".cm-collapsedLines": { background: "var(--quiet-soft)", color: "var(--text-2)" },
    // The signs of the package are in few fonts.
    ".cm-collapsedLines:before, .cm-collapsedLines:after": { content: '"⋮"' },
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
