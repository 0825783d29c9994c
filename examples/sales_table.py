"""Questions about a table, answered by pandas. Version 1 of the SDK."""

from io import StringIO

import pandas as pd
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Sales table")

TABLE = pd.read_csv(
    StringIO(
        """month,region,product,units,revenue
2026-01,north,desk,12,4800
2026-01,south,desk,7,2800
2026-01,north,lamp,30,1350
2026-02,north,desk,9,3600
2026-02,south,lamp,41,1845
2026-02,south,desk,11,4400
2026-03,north,lamp,25,1125
2026-03,south,desk,15,6000
"""
    )
)


@mcp.tool()
def columns() -> dict[str, str]:
    """The table's columns and their types."""
    return {str(name): str(dtype) for name, dtype in TABLE.dtypes.items()}


@mcp.tool()
def total_by(column: str, measure: str = "revenue") -> dict[str, int]:
    """Sum units or revenue for each value of month, region or product."""
    if column not in ("month", "region", "product") or measure not in ("units", "revenue"):
        raise ValueError("column is one of month, region, product; measure is units or revenue")
    totals = TABLE.groupby(column)[measure].sum()
    return {str(key): int(value) for key, value in totals.items()}


if __name__ == "__main__":
    mcp.run(transport="sse")
