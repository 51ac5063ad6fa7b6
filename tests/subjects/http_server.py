"""An MCP server that speaks HTTP itself, made with the official Python SDK: both eras over Streamable HTTP.

    http_server.py streamable-http|sse HOST PORT

Its tool `header` tells the SHA-256 of a header's value, and says the value itself on both outputs, as a careless
server would: whoever runs it has to keep it out of what others see.
"""

import hashlib
import os
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("http-subject")


@server.tool()
def header(name: str, ctx: Context) -> str:
    """The SHA-256 of the value of a header that came with this call."""
    value = ctx.request_context.request.headers.get(name, "")
    print(f"{name} is {value}", flush=True)
    print(f"{name} is {value}", file=sys.stderr, flush=True)
    return hashlib.sha256(value.encode()).hexdigest()


@server.tool()
def process() -> int:
    """The number of the process that answers."""
    return os.getpid()


transport, host, port = sys.argv[1:]
server.run(transport, host=host, port=int(port))
