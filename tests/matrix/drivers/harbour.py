"""A server of three lines: what fastmcp serves in the compatibility table."""

from fastmcp import FastMCP

mcp = FastMCP("harbour")


@mcp.tool
def berth(number: int) -> str:
    """Says which berth was asked for."""
    return f"moored at berth {number}"


@mcp.resource("harbour://tides")
def tides() -> str:
    """High water."""
    return "04:17"


@mcp.prompt
def greeting(name: str) -> str:
    """Greets a ship."""
    return f"Greet the {name}."
