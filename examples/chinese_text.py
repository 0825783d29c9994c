"""中文文本小工具：统计、全角转半角、分句。The server is built inside main()."""

from __future__ import annotations

import argparse
import re
import unicodedata
from dataclasses import dataclass

from mcp.server.fastmcp import FastMCP


@dataclass
class 统计:
    汉字: int
    标点: int
    其他: int


def 数一数(文本: str) -> 统计:
    汉字 = len(re.findall(r"[\u4e00-\u9fff]", 文本))
    标点 = sum(unicodedata.category(字符).startswith("P") for 字符 in 文本)
    return 统计(汉字, 标点, len(re.sub(r"\s", "", 文本)) - 汉字 - 标点)


def build_server(name: str) -> FastMCP:
    server = FastMCP(name)

    @server.tool(description="统计汉字、标点和其他字符的个数")
    def count(text: str) -> 统计:
        return 数一数(text)

    @server.tool(description="把全角字母、数字和标点转换成半角")
    def to_halfwidth(text: str) -> str:
        return unicodedata.normalize("NFKC", text)

    @server.tool(description="把一段话分成句子")
    def sentences(text: str) -> list[str]:
        return [sentence.strip() for sentence in re.findall(r"[^。！？!?]+[。！？!?]?", text) if sentence.strip()]

    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="中文文本")
    build_server(parser.parse_args().name).run()


if __name__ == "__main__":
    main()
