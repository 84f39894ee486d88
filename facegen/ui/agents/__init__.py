"""The studio for agents: swap, generate, talk and verify as tools of the Model Context Protocol, beside the page.

`facegen studio --mcp` serves them at /mcp (streamable HTTP). The extra `mcp` brings the protocol.
"""
