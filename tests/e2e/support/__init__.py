"""The parts the end-to-end tests are built of: a platform to test, its API, real MCP clients."""
