"""Drives one MCP server with the official Python SDK, over HTTP or over its standard input and output.

Reads a plan as JSON from standard input, so that a token stands in no command line:
    {"url": ..., "token": ... | null, "transport": "streamable_http" | "sse"} or {"command": [...], "env": {...}},
    with "mode": "legacy" | "auto" | "modern" and "call": {"name": ..., "arguments": ...} | null
and writes a report: {"protocol", "server", "tools", "call", "resources", "prompts"}.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

MODERN = "2026-07-28"
PATIENCE = 180.0


async def drive(plan, server):
    mode = {"modern": MODERN}.get(plan["mode"], plan["mode"])
    async with Client(server, mode=mode, read_timeout_seconds=PATIENCE) as client:
        report = {"tools": len((await client.list_tools()).tools)}
        info = client.server_info
        report |= {"protocol": client.protocol_version, "server": info and f"{info.name} {info.version}"}
        if call := plan.get("call"):
            answer = await client.call_tool(call["name"], call["arguments"])
            report["call"] = "error" if answer.is_error else "ok"
        offered = client.server_capabilities
        if offered and offered.resources:
            report["resources"] = len((await client.list_resources()).resources)
        if offered and offered.prompts:
            report["prompts"] = len((await client.list_prompts()).prompts)
        return report


async def main(plan):
    if command := plan.get("command"):
        return await drive(plan, StdioServerParameters(command=command[0], args=command[1:], env=plan["env"]))
    headers = {"Authorization": f"Bearer {plan['token']}"} if plan.get("token") else {}
    if plan.get("transport") == "sse":
        return await drive(plan, sse_client(plan["url"], headers=headers))
    timeout = httpx2.Timeout(10.0, read=PATIENCE)
    async with httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http:
        return await drive(plan, streamable_http_client(plan["url"], http_client=http))


def leaf(error):
    """The first real error in what a task group threw."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


try:
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
except BaseException as error:
    cause = leaf(error)
    print(f"{type(cause).__name__}: {str(cause)[:280]}", file=sys.stderr)
    sys.exit(1)
