// A server's tools, resources and prompts, tried from the dashboard.

import assert from "node:assert/strict";
import { test } from "node:test";
import { screenshots } from "../support/browser.mjs";
import { START_MS } from "../support/suite.mjs";

/** A picture of one pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const OFFER = `"""All that a server can offer."""
import base64, time
from enum import Enum
from typing import Literal, Optional
from mcp.server.fastmcp import FastMCP, Image
from pydantic import BaseModel, Field

mcp = FastMCP("Offer", instructions="Try <b>everything</b>.")

class Point(BaseModel):
    x: float
    y: float = 2.0

class Answer(BaseModel):
    total: float
    names: list[str]

@mcp.tool()
def measure(points: list[Point], unit: Literal["mm", "cm"], names: list[str], exact: bool = True, note: Optional[str] = None, count: int = Field(default=3, ge=1, le=9)) -> Answer:
    """Adds up the points."""
    return Answer(total=sum(p.x + p.y for p in points) * count, names=[*names, unit, str(exact), repr(note)])

@mcp.tool()
def free(options: dict[str, float], either: int | str) -> str:
    """Takes what has no form."""
    return f"{sorted(options.items())} {either!r}"

@mcp.tool()
def hostile() -> str:
    """<img src=x onerror="window.hit=1"> \\u202e turned"""
    return "<script>window.hit=1</script><img src=x onerror='window.hit=1'> \\u202e turned \\u0000 end"

@mcp.tool()
def megabyte() -> str:
    return "m" * 1_048_576

@mcp.tool()
def picture() -> list:
    return [Image(data=base64.b64decode("${PNG}"), format="png"), "beside it"]

@mcp.tool()
def slow() -> str:
    time.sleep(60)
    return "late"

@mcp.tool()
def failing(why: str) -> str:
    raise ValueError(f"no: {why}")

@mcp.resource("notes://today")
def today() -> str:
    """The notes of today."""
    return "buy <milk>"

@mcp.resource("notes://{day}")
def notes(day: str) -> str:
    """The notes of a day."""
    return f"nothing on {day}"

@mcp.prompt()
def greet(name: str, tone: str = "kind") -> str:
    """Greets somebody."""
    return f"Greet {name} in a {tone} way."
`;

/** @param {import("../support/suite.mjs").Suite} suite */
export default function tools(suite) {
  /** @param {string} [kind] */
  async function visitTools(kind) {
    await suite.create("offer", { code: OFFER, start: true, wait: 90 });
    const page = await suite.visitSignedIn("/servers/offer/tools");
    await page.getByRole("group", { name: "What the server offers" }).waitFor({ timeout: START_MS });
    const choose = (/** @type {string} */ name) => page.getByRole("navigation", { name: "What the server offers" }).getByRole("button", { name }).click();
    const pane = (/** @type {string} */ name) => page.getByRole("region", { name, exact: true });
    if (kind) await page.getByRole("group", { name: "What the server offers" }).getByRole("button", { name: kind }).click();
    return { page, choose, pane };
  }

  test("a tool is called by the form its schema makes, and by JSON", async () => {
    const { page, pane, choose } = await visitTools();
    await page.getByText("Try <b>everything</b>.").waitFor();
    const measure = pane("measure");
    await measure.getByText("Adds up the points.").waitFor();
    await measure.getByRole("button", { name: "Call the tool" }).click();
    await measure.getByRole("button", { name: "Add an item: points" }).click();
    await measure.getByRole("button", { name: "Call the tool" }).click();
    await measure.getByText("This is needed.").waitFor();
    await measure.getByLabel("x", { exact: true }).fill("one");
    await measure.getByRole("button", { name: "Call the tool" }).click();
    await measure.getByText("Write a number.").waitFor();
    await measure.getByLabel("x", { exact: true }).fill("1.5");
    await measure.getByLabel("unit").selectOption("cm");
    await measure.getByRole("button", { name: "Add an item: names" }).click();
    await measure.getByRole("textbox", { name: "names 1" }).fill("é\u4e2d");
    await measure.getByLabel("exact").selectOption("false");
    await screenshots(page, "tools-form");
    await measure.getByRole("button", { name: "Call the tool" }).click();
    await measure.getByText(/answered · \d+ ms/).waitFor();
    await measure.getByRole("button", { name: "Structured" }).click();
    const structured = JSON.parse((await measure.locator(".tool-result pre").textContent()) ?? "");
    assert.deepEqual(structured, { total: 10.5, names: ["é\u4e2d", "cm", "False", "None"] });
    await measure.getByRole("button", { name: "Raw" }).click();
    assert.equal(JSON.parse((await measure.locator(".tool-result pre").textContent()) ?? "").is_error, false);
    await screenshots(page, "tools-result");
    await measure.getByRole("button", { name: "JSON", exact: true }).click();
    const typed = JSON.parse(await measure.getByRole("textbox", { name: "Arguments" }).inputValue());
    assert.deepEqual(typed, { points: [{ x: 1.5, y: 2 }], unit: "cm", names: ["é\u4e2d"], exact: false, count: 3 });
    await measure.getByRole("textbox", { name: "Arguments" }).fill("{");
    await measure.getByRole("button", { name: "Call the tool" }).click();
    await measure.getByText("This is not valid JSON.").waitFor();

    await choose("free");
    await pane("free").getByLabel("options").fill('{"b": 2, "a": 1.5}');
    await pane("free").getByLabel("either").fill('"text"');
    await pane("free").getByRole("button", { name: "Call the tool" }).click();
    await pane("free").getByText("[('a', 1.5), ('b', 2.0)] 'text'").waitFor();

    await choose("failing");
    await pane("failing").getByLabel("why").fill("because");
    await pane("failing").getByRole("button", { name: "Call the tool" }).click();
    await pane("failing").getByText("the tool reports an error").waitFor();
    await pane("failing").getByText("no: because").waitFor();
  });

  test("hostile, huge and pictured answers are shown safely, and a slow call can be given up", async () => {
    const { page, pane, choose } = await visitTools();
    await choose("hostile");
    await pane("hostile").getByRole("button", { name: "Call the tool" }).click();
    await pane("hostile").locator(".tool-result pre", { hasText: "<script>window.hit=1</script>" }).waitFor();
    assert.equal(await page.evaluate(() => Reflect.get(window, "hit")), undefined);
    assert.equal(await page.locator("#content img, #content script").count(), 0);
    await choose("megabyte");
    await pane("megabyte").getByRole("button", { name: "Call the tool" }).click();
    await pane("megabyte").getByText("The first 50000 of 1048576 characters").waitFor();
    const [file] = await Promise.all([page.waitForEvent("download"), pane("megabyte").getByRole("button", { name: "Download" }).first().click()]);
    assert.equal(file.suggestedFilename(), "result.txt");
    await choose("picture");
    await pane("picture").getByRole("button", { name: "Call the tool" }).click();
    const picture = pane("picture").getByRole("img", { name: "Image from the server" });
    await picture.waitFor();
    assert.equal(await picture.evaluate((image) => image instanceof HTMLImageElement && image.naturalWidth), 1);
    await pane("picture").getByText("beside it").waitFor();
    await screenshots(page, "tools-picture");
    await choose("slow");
    await pane("slow").getByRole("button", { name: "Call the tool" }).click();
    await pane("slow").getByRole("button", { name: "Cancel" }).click();
    await pane("slow").getByRole("button", { name: "Call the tool" }).waitFor();
  });

  test("resources are read and prompts are got", async () => {
    const { page, pane, choose } = await visitTools("Resources 2");
    await pane("notes://today").getByRole("button", { name: "Read" }).click();
    await pane("notes://today").getByText("buy <milk>").waitFor();
    await choose("notes://{day}");
    await pane("notes://{day}").getByLabel("URI").fill("notes://monday");
    await pane("notes://{day}").getByRole("button", { name: "Read" }).click();
    await pane("notes://{day}").getByText("nothing on monday").waitFor();
    await page.getByRole("button", { name: "Prompts 1" }).click();
    await pane("greet").getByLabel("name").fill("Ada");
    await pane("greet").getByRole("button", { name: "Get the prompt" }).click();
    await pane("greet").getByText("Greet Ada in a kind way.").waitFor();
    await screenshots(page, "tools-prompt");
    await page.getByRole("link", { name: "Overview" }).first().click();
    await suite.api("/api/servers/offer/action?wait=30", { method: "POST", data: { action: "stop" } });
    await page.goto("/#/servers/offer/tools");
    await page.getByRole("heading", { name: "The server is not running" }).waitFor();
    await page.getByRole("button", { name: "Start", exact: true }).first().waitFor();
    // It may have been asked while it was stopping.
    suite.forgive(page, /409|503/);
  });
}
