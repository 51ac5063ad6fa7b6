"""Drives one MCP server over Streamable HTTP with the official Python SDK.

Reads what to do as JSON from standard input, so that the token stands in no command line:
    {"url": ..., "token": ..., "mode": "legacy" | "auto" | a version, "steps": [{"do": ..., ...}]}
and writes what came back as JSON to standard output: {"protocol": ..., "server": ..., "answers": [...]}.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

READ_TIMEOUT = 60.0


def plain(answer):
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)


async def take(client, step):
    match step["do"]:
        case "list_tools":
            return plain(await client.list_tools())
        case "call_tool":
            progress = []

            async def on_progress(done, total, message):
                progress.append([done, total])

            answer = await client.call_tool(
                step["name"], step.get("arguments", {}), progress_callback=on_progress
            )
            return plain(answer) | {"progress": progress}
        case "list_resources":
            return plain(await client.list_resources())
        case "read_resource":
            return plain(await client.read_resource(step["uri"]))
        case "list_prompts":
            return plain(await client.list_prompts())
        case "get_prompt":
            return plain(await client.get_prompt(step["name"], step.get("arguments")))
        case other:
            raise ValueError(f"no such step: {other}")


async def drive(plan):
    headers = {"Authorization": f"Bearer {plan['token']}"}
    timeout = httpx2.Timeout(10.0, read=READ_TIMEOUT)
    async with httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http:
        transport = streamable_http_client(plan["url"], http_client=http)
        async with Client(transport, mode=plan["mode"], read_timeout_seconds=READ_TIMEOUT) as client:
            answers = [await take(client, step) for step in plan["steps"]]
            server = client.server_info
            return {"protocol": client.protocol_version, "server": plain(server), "answers": answers}


json.dump(asyncio.run(drive(json.load(sys.stdin))), sys.stdout)
