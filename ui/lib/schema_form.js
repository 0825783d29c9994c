// From a JSON Schema to the fields of a form, and from what was typed to the
// value it stands for. What a form cannot show well is written as JSON.

/**
 * @typedef {object} FormField
 * @property {"string" | "number" | "integer" | "boolean" | "choice" | "list" | "group" | "json"} kind
 * @property {string} title
 * @property {string} description
 * @property {boolean} isRequired
 * @property {boolean} isNullable
 * @property {unknown} [initial] the schema's default
 * @property {boolean} isLong a text of several lines
 * @property {unknown[]} options of a choice
 * @property {FormField | null} item of a list
 * @property {[string, FormField][]} fields of a group
 * @property {string} rule what the schema asks for beyond the type, such as "≥ 1"
 *
 * What is typed: a text, or one for each item of a list or field of a group.
 * @typedef {string | Draft[] | { [name: string]: Draft }} Draft
 *
 * @typedef {"missing" | "number" | "integer" | "json" | "choice"} ProblemKind
 * @typedef {{ path: string, kind: ProblemKind }} FormProblem
 *
 * @typedef {Record<string, any>} Schema
 */

/** Deeper than this, and in circles, a schema is written as JSON. */
const DEPTH_MAX = 6;

/**
 * @param {unknown} schema of a tool's arguments
 * @returns {FormField}
 */
export function formOf(schema) {
  return fieldOf(schema, isObject(schema) ? schema : {}, { isRequired: true, depth: 0 });
}

/**
 * @param {unknown} given
 * @param {Schema} root
 * @param {{ isRequired: boolean, depth: number }} at
 * @returns {FormField}
 */
function fieldOf(given, root, { isRequired, depth }) {
  const { schema, isNullable } = simplified(given, root);
  /** @type {FormField} */
  const field = {
    kind: "json",
    title: text(schema.title),
    description: text(schema.description),
    isRequired,
    isNullable,
    isLong: false,
    options: [],
    item: null,
    fields: [],
    rule: ruleOf(schema),
  };
  if ("default" in schema) field.initial = schema.default;
  const options = optionsOf(schema);
  if (options) return { ...field, kind: "choice", options };
  if (depth > DEPTH_MAX) return field;
  const below = (/** @type {unknown} */ part, /** @type {boolean} */ required) => fieldOf(part, root, { isRequired: required, depth: depth + 1 });
  const type = schema.type ?? (isObject(schema.properties) ? "object" : undefined);
  if (type === "string") return { ...field, kind: "string", isLong: isLongText(schema) };
  if (type === "number" || type === "integer" || type === "boolean") return { ...field, kind: type };
  if (type === "array" && isObject(schema.items)) {
    const item = below(schema.items, true);
    return item.kind === "json" ? field : { ...field, kind: "list", item };
  }
  const isClosed = depth === 0 || !schema.additionalProperties;
  if (type === "object" && isObject(schema.properties) && isClosed) {
    const required = new Set(Array.isArray(schema.required) ? schema.required : []);
    const fields = Object.entries(schema.properties).map(([name, part]) => /** @type {[string, FormField]} */ ([name, below(part, required.has(name))]));
    return { ...field, kind: "group", fields };
  }
  return depth === 0 && type === "object" && !isObject(schema.properties) && !schema.additionalProperties ? { ...field, kind: "group" } : field;
}

/**
 * Follows references, and takes "this or null" apart.
 * @param {unknown} given
 * @param {Schema} root
 * @returns {{ schema: Schema, isNullable: boolean }}
 */
function simplified(given, root) {
  let schema = /** @type {Schema} */ (isObject(given) ? given : {});
  let isNullable = false;
  for (let steps = 0; steps < 20; steps += 1) {
    const { $ref, anyOf, oneOf, allOf, ...own } = schema;
    const several = anyOf ?? oneOf;
    if (typeof $ref === "string") {
      const target = pointed(root, $ref);
      if (!target) return { schema: {}, isNullable };
      schema = { ...target, ...own };
    } else if (Array.isArray(several)) {
      const others = several.filter((part) => part?.type !== "null");
      isNullable ||= others.length < several.length;
      if (others.length !== 1) return { schema: others.every((part) => optionsOf(part)) ? { ...own, enum: others.flatMap(optionsOf) } : own, isNullable };
      schema = { ...others[0], ...own };
    } else if (Array.isArray(allOf) && allOf.length === 1) {
      schema = { ...allOf[0], ...own };
    } else if (Array.isArray(schema.type)) {
      const types = schema.type.filter((type) => type !== "null");
      isNullable ||= types.length < schema.type.length;
      const { type, ...untyped } = schema;
      schema = types.length === 1 ? { ...untyped, type: types[0] } : untyped;
      if (types.length !== 1) return { schema, isNullable };
    } else {
      return { schema: allOf ? own : schema, isNullable };
    }
  }
  return { schema: {}, isNullable };
}

/**
 * What a reference such as "#/$defs/Thing" points to (RFC 6901).
 * @param {Schema} root
 * @param {string} reference
 * @returns {Schema | null}
 */
function pointed(root, reference) {
  if (!reference.startsWith("#/")) return null;
  /** @type {unknown} */
  let at = root;
  for (const part of reference.slice(2).split("/")) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!isObject(at) || !Object.hasOwn(at, key)) return null;
    at = at[key];
  }
  return isObject(at) ? at : null;
}

/** @param {Schema} schema */
function optionsOf(schema) {
  if (!isObject(schema)) return null;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum;
  return "const" in schema ? [schema.const] : null;
}

/** @param {Schema} schema */
function isLongText({ format, maxLength, contentMediaType, ["x-multiline"]: multiline }) {
  return multiline === true || contentMediaType !== undefined || format === "textarea" || (typeof maxLength === "number" && maxLength > 200);
}

/** @param {Schema} schema */
function ruleOf({ minimum, exclusiveMinimum, maximum, exclusiveMaximum, minLength, maxLength, minItems, maxItems, pattern, format }) {
  const parts = [
    [minimum, "≥"],
    [exclusiveMinimum, ">"],
    [maximum, "≤"],
    [exclusiveMaximum, "<"],
    [minLength, "length ≥"],
    [maxLength, "length ≤"],
    [minItems, "items ≥"],
    [maxItems, "items ≤"],
  ];
  const bounds = parts.filter(([bound]) => typeof bound === "number").map(([bound, words]) => `${words} ${bound}`);
  return [...bounds, ...[pattern, format].filter((rule) => typeof rule === "string")].join(", ");
}

/**
 * What a field holds before anything is typed.
 * @param {FormField} field
 * @param {unknown} [value]
 * @returns {Draft}
 */
export function draftOf(field, value = field.initial) {
  switch (field.kind) {
    case "group": {
      const given = isObject(value) ? value : {};
      return Object.fromEntries(field.fields.map(([name, part]) => [name, draftOf(part, Object.hasOwn(given, name) ? given[name] : part.initial)]));
    }
    case "list": {
      const { item } = field;
      return item && Array.isArray(value) ? value.map((one) => draftOf(item, one)) : [];
    }
    case "choice":
      return choiceDraft(field, value);
    case "json":
      return value === undefined ? "" : JSON.stringify(value, null, 2);
    case "boolean":
      return typeof value === "boolean" ? String(value) : field.isRequired && !field.isNullable ? "false" : "";
    default:
      return value === undefined || value === null ? "" : String(value);
  }
}

/**
 * A choice is kept as the place of what was chosen: options need not be texts.
 * @param {FormField} field
 * @param {unknown} value
 */
function choiceDraft({ options, isRequired, isNullable }, value) {
  const at = options.findIndex((option) => JSON.stringify(option) === JSON.stringify(value));
  if (at >= 0) return String(at);
  return isRequired && !isNullable ? "0" : "";
}

/**
 * The value that was typed. What may be left out and is empty is left out;
 * what must be there and may be null is null.
 * @param {FormField} field
 * @param {Draft} draft
 * @returns {{ value: unknown, problems: FormProblem[] }} `undefined` where it is left out
 */
export function valueOf(field, draft) {
  /** @type {FormProblem[]} */
  const problems = [];
  const value = read(field, draft, "", problems);
  return { value, problems };
}

/**
 * @param {FormField} field
 * @param {Draft} draft
 * @param {string} path
 * @param {FormProblem[]} problems
 * @returns {unknown}
 */
function read(field, draft, path, problems) {
  const bad = (/** @type {ProblemKind} */ kind) => void problems.push({ path, kind });
  if (field.kind === "group") {
    const entries = field.fields.map(([name, part]) => /** @type {const} */ ([name, read(part, partOf(draft, name, part), `${path}/${name}`, problems)]));
    const filled = entries.filter(([, value]) => value !== undefined);
    if (filled.length === 0 && !field.isRequired) {
      // What is missing inside of something left out is not missing.
      forget(problems, path);
      return undefined;
    }
    return Object.fromEntries(filled);
  }
  if (field.kind === "list") {
    const { item } = field;
    const drafts = Array.isArray(draft) ? draft : [];
    if (drafts.length === 0 && !field.isRequired) return undefined;
    return item ? drafts.map((one, at) => read(item, one, `${path}/${at}`, problems)) : [];
  }
  const typed = typeof draft === "string" ? draft : "";
  if (typed.trim() === "" && (field.kind !== "string" || typed === "")) {
    if (field.isRequired && field.isNullable) return null;
    if (!field.isRequired) return undefined;
    return field.kind === "string" ? "" : bad("missing");
  }
  switch (field.kind) {
    case "number":
    case "integer": {
      const number = Number(typed);
      if (!Number.isFinite(number)) return bad("number");
      return field.kind === "integer" && !Number.isSafeInteger(number) ? bad("integer") : number;
    }
    case "boolean":
      return typed === "true";
    case "choice":
      return field.options[Number(typed)];
    case "json":
      try {
        return JSON.parse(typed);
      } catch {
        return bad("json");
      }
    default:
      return typed;
  }
}

/**
 * A part of what is typed for a group.
 * @param {Draft} draft
 * @param {string} name
 * @param {FormField} field
 * @returns {Draft}
 */
export function partOf(draft, name, field) {
  return typeof draft === "object" && !Array.isArray(draft) && Object.hasOwn(draft, name) ? (draft[name] ?? "") : draftOf(field);
}

/**
 * @param {FormProblem[]} problems
 * @param {string} path
 */
function forget(problems, path) {
  const kept = problems.filter((problem) => problem.kind !== "missing" || !problem.path.startsWith(`${path}/`));
  problems.splice(0, problems.length, ...kept);
}

/**
 * @param {unknown} value
 * @returns {value is Schema}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : "";
}
