"""Drives one MCP server with the command line of fastmcp: `fastmcp list`, then `fastmcp call`.

Reads a plan as python_sdk.py does. The server is described in a file that only its owner may read, so that a token
stands in no command line.
"""

import json
import os
import subprocess
import sys
import tempfile

PATIENCE = 240


def described(plan):
    if command := plan.get("command"):
        return {"command": command[0], "args": command[1:], "env": plan["env"]}
    server = {"url": plan["url"], "transport": "sse" if plan.get("transport") == "sse" else "http"}
    if plan.get("token"):
        server["headers"] = {"Authorization": f"Bearer {plan['token']}"}
    return server


def run(*arguments):
    command = [sys.executable, "-c", "from fastmcp.cli import app; app()", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr + done.stdout).strip()
        raise SystemExit(f"fastmcp {arguments[0]}: {said[-600:]}")
    return json.loads(done.stdout)


def main(plan):
    os.environ["FASTMCP_CHECK_FOR_UPDATES"] = "off"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "servers.json")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump({"mcpServers": {"subject": described(plan)}}, file)
        # It asks for what it is told to, also where the server does not offer it, and fails then.
        offered = [kind for kind in ("resources", "prompts") if plan["offers"][kind]]
        listed = run("list", path, *(f"--{kind}" for kind in offered))
        report = {kind: len(listed.get(kind) or []) for kind in ("tools", *offered)}
        if call := plan.get("call"):
            answer = run("call", path, call["name"], "--input-json", json.dumps(call["arguments"]))
            report["call"] = "error" if answer.get("is_error") or answer.get("isError") else "ok"
        return report


json.dump(main(json.load(sys.stdin)), sys.stdout)
