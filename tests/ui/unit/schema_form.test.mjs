import assert from "node:assert/strict";
import { test } from "node:test";
import { draftOf, formOf, valueOf } from "../../../ui/lib/schema_form.js";

/**
 * @param {object} properties
 * @param {string[]} [required]
 * @param {object} [more]
 */
const schema = (properties, required = [], more = {}) => ({ type: "object", properties, required, ...more });

/**
 * The fields by name.
 * @param {object} given
 */
const fields = (given) => Object.fromEntries(formOf(given).fields);

/**
 * What is sent when nothing but `typed` is filled in.
 * @param {object} given
 * @param {Record<string, import("../../../ui/lib/schema_form.js").Draft>} typed
 */
function sent(given, typed = {}) {
  const form = formOf(given);
  return valueOf(form, { .../** @type {object} */ (draftOf(form)), ...typed });
}

test("each type has its field", () => {
  const kinds = fields(
    schema({
      text: { type: "string" },
      number: { type: "number" },
      whole: { type: "integer" },
      yes: { type: "boolean" },
      one: { enum: ["a", 2, null] },
      fixed: { const: "x" },
      list: { type: "array", items: { type: "string" } },
      group: { type: "object", properties: { a: { type: "string" } } },
      map: { type: "object", additionalProperties: { type: "number" } },
      open: {},
      either: { anyOf: [{ type: "string" }, { type: "number" }] },
      anything: true,
      tuple: { type: "array" },
    }),
  );
  const found = Object.fromEntries(Object.entries(kinds).map(([name, { kind }]) => [name, kind]));
  assert.deepEqual(found, {
    text: "string",
    number: "number",
    whole: "integer",
    yes: "boolean",
    one: "choice",
    fixed: "choice",
    list: "list",
    group: "group",
    map: "json",
    open: "json",
    either: "json",
    anything: "json",
    tuple: "json",
  });
});

test("this-or-null is the thing itself, nullable, however it is written", () => {
  for (const given of [{ anyOf: [{ type: "integer" }, { type: "null" }] }, { oneOf: [{ type: "null" }, { type: "integer" }] }, { type: ["integer", "null"] }]) {
    const { a } = fields(schema({ a: { ...given, default: null, title: "A" } }));
    assert.deepEqual([a?.kind, a?.isNullable, a?.title], ["integer", true, "A"]);
  }
  assert.deepEqual(sent(schema({ a: { type: ["integer", "null"] } }, ["a"])).value, { a: null });
  assert.deepEqual(sent(schema({ a: { type: ["integer", "null"] } })).value, {});
});

test("references are followed, and those in circles end in JSON", () => {
  const given = schema({ point: { $ref: "#/$defs/Point", description: "where" }, tree: { $ref: "#/$defs/Tree" }, lost: { $ref: "#/$defs/None" } }, ["point"], {
    $defs: {
      Point: schema({ x: { type: "number" }, y: { type: "number", default: 2 } }, ["x"]),
      Tree: schema({ children: { type: "array", items: { $ref: "#/$defs/Tree" } } }),
    },
  });
  const { point, tree, lost } = fields(given);
  assert.equal(point?.kind, "group");
  assert.equal(point?.description, "where");
  assert.equal(tree?.kind, "group");
  assert.equal(lost?.kind, "json");
  assert.deepEqual(sent(given, { point: { x: "1.5", y: "2" } }).value, { point: { x: 1.5, y: 2 } });
  const circle = { $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/A" } } };
  assert.equal(formOf(circle).kind, "json");
});

test("what is optional and empty is left out; defaults are filled in", () => {
  const given = schema(
    { name: { type: "string" }, note: { type: "string" }, n: { type: "integer", default: 3 }, flag: { type: "boolean" }, on: { type: "boolean", default: true }, tags: { type: "array", items: { type: "string" } }, at: schema({ x: { type: "number" } }, ["x"]) },
    ["name"],
  );
  assert.deepEqual(sent(given), { value: { name: "", n: 3, on: true }, problems: [] });
  assert.deepEqual(sent(given, { tags: ["a", ""], flag: "false", at: { x: "1" } }).value, { name: "", n: 3, flag: false, on: true, tags: ["a", ""], at: { x: 1 } });
});

test("what cannot be read is named by its place", () => {
  const given = schema({ n: { type: "number" }, i: { type: "integer" }, j: {}, list: { type: "array", items: { type: "integer" } }, group: schema({ n: { type: "number" } }, ["n"]) }, ["n", "group"]);
  const { problems } = sent(given, { i: "1.5", j: "{", list: ["1", "x"] });
  assert.deepEqual(problems, [
    { path: "/n", kind: "missing" },
    { path: "/i", kind: "integer" },
    { path: "/j", kind: "json" },
    { path: "/list/1", kind: "number" },
    { path: "/group/n", kind: "missing" },
  ]);
  assert.deepEqual(sent(given, { n: "9007199254740993", i: "9007199254740993", group: { n: "1e400" } }).problems, [
    { path: "/i", kind: "integer" },
    { path: "/group/n", kind: "number" },
  ]);
});

test("choices keep the type of what is chosen", () => {
  const given = schema({ size: { enum: [1, "1", null, { a: 1 }] } });
  assert.deepEqual(sent(given, { size: "0" }).value, { size: 1 });
  assert.deepEqual(sent(given, { size: "2" }).value, { size: null });
  assert.deepEqual(sent(given, { size: "3" }).value, { size: { a: 1 } });
  assert.deepEqual(sent(given).value, {});
  assert.deepEqual(sent(schema({ size: { enum: ["s", "m"] } }, ["size"])).value, { size: "s" });
});

test("a value written as JSON fills the form again", () => {
  const form = formOf(schema({ name: { type: "string" }, points: { type: "array", items: schema({ x: { type: "number" } }) }, any: {} }));
  const value = { name: "a\nb", points: [{ x: 1 }, { x: 2 }], any: [1, null] };
  assert.deepEqual(valueOf(form, draftOf(form, value)).value, value);
});

test("names such as __proto__ are names like others", () => {
  const given = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string","default":"x"},"constructor":{"type":"string"}}}');
  const { value } = sent(given);
  assert.deepEqual(Object.keys(/** @type {object} */ (value)), ["__proto__"]);
  assert.equal(Reflect.get({}, "x"), undefined);
});

test("no schema, or one that is none, is a form without fields or a text of JSON", () => {
  assert.deepEqual(valueOf(formOf({ type: "object" }), {}).value, {});
  assert.equal(formOf({ type: "object" }).fields.length, 0);
  for (const given of [null, "x", 1, [], { type: "string", properties: 7 }]) assert.ok(formOf(given).kind);
});
