// Drives one MCP server with the second generation of the TypeScript SDK's client.
//
// Reads a plan as python_sdk.py does, with "packages": the folder that the client is installed in.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { text } from 'node:stream/consumers';

const MODERN = '2026-07-28';
const plan = JSON.parse(await text(process.stdin));
const resolve = createRequire(pathToFileURL(`${plan.packages}/`)).resolve;
const load = name => import(pathToFileURL(resolve(name).replace(/\.cjs$/, '.mjs')).href);
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client');

async function transport() {
    if (plan.command) {
        const { StdioClientTransport } = await load('@modelcontextprotocol/client/stdio');
        return new StdioClientTransport({ command: plan.command[0], args: plan.command.slice(1), env: plan.env, stderr: 'ignore' });
    }
    const headers = plan.token ? { Authorization: `Bearer ${plan.token}` } : {};
    const Transport = plan.transport === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
    return new Transport(new URL(plan.url), { requestInit: { headers } });
}

async function drive() {
    const mode = plan.mode === 'modern' ? { pin: MODERN } : plan.mode;
    const client = new Client({ name: 'matrix', version: '1' }, { versionNegotiation: { mode } });
    const way = await transport();
    await client.connect(way);
    const report = { tools: (await client.listTools()).tools.length };
    report.protocol = client.getNegotiatedProtocolVersion?.();
    const server = client.getServerVersion();
    report.server = server && `${server.name} ${server.version}`;
    if (plan.call) {
        const answer = await client.callTool(plan.call);
        report.call = answer.isError ? 'error' : 'ok';
    }
    const offered = client.getServerCapabilities() ?? {};
    if (offered.resources) report.resources = (await client.listResources()).resources.length;
    if (offered.prompts) report.prompts = (await client.listPrompts()).prompts.length;
    await way.terminateSession?.();
    await client.close();
    return report;
}

try {
    process.stdout.write(JSON.stringify(await drive()));
} catch (error) {
    process.stderr.write(`${error.name}: ${error.message}\n`);
    process.exitCode = 1;
}
