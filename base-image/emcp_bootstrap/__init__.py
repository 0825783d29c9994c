"""Serves one user file as an MCP server.

`choose` and its helpers run under the system's Python with the standard library only; `run` and what
it imports run inside the environment that was chosen.
"""
