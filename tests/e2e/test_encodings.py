"""A file in the encoding that it declares (PEP 263) is taken, runs as Python reads it, and is shown as text."""

import secrets
from typing import Any

import pytest

from support.api import Api
from support.clients import bearer
from support.running import Platform
from support.streams import HttpSession

Json = dict[str, Any]

_CODE = """# -*- coding: {encoding} -*-
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("encoded")


@mcp.tool()
def greet() -> str:
    \"\"\"{greeting}\"\"\"
    return "{greeting}"
"""
# What each of them can hold.
GREETINGS = {"gbk": "你好", "big5": "你好", "shift_jis": "こんにちは", "latin-1": "grüß dich"}


def encoded(encoding: str, greeting: str = "") -> tuple[str, bytes]:
    text = _CODE.format(encoding=encoding, greeting=greeting or GREETINGS[encoding])
    return text, text.encode(encoding)


def code_of(api: Api, name: str, query: str = "") -> bytes:
    answer = api.request("GET", f"/api/servers/{name}/code{query}")
    assert answer.status_code == 200, answer.text
    return answer.content


def refused(api: Api, code: bytes) -> str:
    files = {"file": ("server.py", code, "text/x-python")}
    answer = api.request("POST", "/api/servers", data={"name": "never-made", "start": "false"}, files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "code_not_text"), answer.text
    message: str = answer.json()["error"]["message"]
    return message


def test_a_gbk_file_answers_with_what_it_says_and_is_edited_as_text(platform: Platform, api: Api) -> None:
    name = f"gbk-{secrets.token_hex(2)}"
    text, data = encoded("gbk")
    api.create(name, data, start="true")
    api.wait_for(name, "running")
    headers = bearer(platform.admin_token)
    with HttpSession(api, name, headers) as session:
        assert session.call_tool("greet", {}) == "你好"
    assert code_of(api, name) == text.encode("utf-8")
    assert code_of(api, name, "?raw=true") == data

    # As the dashboard saves it: a text, kept in the encoding that it declares.
    changed = text.replace("你好", "再见")
    utf8 = {"Content-Type": "text/x-python; charset=utf-8"}
    api.call("PUT", f"/api/servers/{name}/code", content=changed.encode("utf-8"), headers=utf8)
    assert code_of(api, name, "?raw=true") == changed.encode("gbk")
    assert code_of(api, name, "") == changed.encode("utf-8")
    # The file itself, as curl sends it.
    api.call("PUT", f"/api/servers/{name}/code", content=data, headers={"Content-Type": "text/x-python"})
    assert code_of(api, name, "?raw=true") == data
    assert code_of(api, f"{name}/versions/2").decode() == changed
    api.wait_for(name, "running")
    api.delete(name)


@pytest.mark.parametrize("encoding", GREETINGS)
def test_what_is_kept_is_what_was_sent_as_a_file_and_as_text(api: Api, encoding: str) -> None:
    name = f"kept-{secrets.token_hex(2)}"
    text, data = encoded(encoding)
    api.create(name, data)
    assert code_of(api, name, "?raw=true") == data
    api.call("PUT", f"/api/servers/{name}/code", json={"code": text})
    assert code_of(api, name, "?raw=true") == data
    api.delete(name)
    checked = api.call("POST", "/api/check", json={"code": text})
    assert (checked["ok"], checked["entry_objects"]) == (True, ["mcp"])


def test_what_is_no_text_is_refused_with_the_encoding_and_the_line(api: Api) -> None:
    undeclared = refused(api, b"x = 1\ny = '" + "你好".encode("gbk") + b"'\n")
    assert undeclared.startswith("line 2 is not text in UTF-8") and "save it as UTF-8" in undeclared
    declared = refused(api, b"# coding: gbk\nx = '\xff\xff'\n")
    assert declared.startswith("line 2 is not text in gbk") and "save it as UTF-8" in declared
    assert "klingon" in refused(api, b"# coding: klingon\nx = 1\n")
    assert "the mark of UTF-8" in refused(api, b"\xef\xbb\xbf# coding: gbk\nx = 1\n")
    text, _ = encoded("latin-1", greeting="hi")
    answer = api.request("POST", "/api/check", json={"code": text.replace('"hi"', '"你"')})
    assert answer.status_code == 400 and "latin-1" in answer.json()["error"]["message"]


def test_a_byte_order_mark_is_no_part_of_the_text(api: Api) -> None:
    name = f"mark-{secrets.token_hex(2)}"
    text, _ = encoded("gbk", greeting="hi")
    text = text.replace("gbk", "utf-8")
    api.create(name, b"\xef\xbb\xbf" + text.encode())
    assert code_of(api, name) == text.encode()
    assert code_of(api, name, "?raw=true") == b"\xef\xbb\xbf" + text.encode()
    api.delete(name)
