// Drives one MCP server with the Inspector on its command line: a run per method.
//
// Reads a plan as python_sdk.py does, with "inspector": its script. The server is described in a file that only its
// owner may read, so that a token stands in no command line.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

const PATIENCE = 240_000;
const run = promisify(execFile);
const plan = JSON.parse(await text(process.stdin));
const folder = mkdtempSync(join(tmpdir(), 'inspector-'));
const config = join(folder, 'servers.json');

function described() {
    if (plan.command) {
        return { command: plan.command[0], args: plan.command.slice(1), env: plan.env };
    }
    const headers = plan.token ? { Authorization: `Bearer ${plan.token}` } : {};
    return { type: plan.transport === 'sse' ? 'sse' : 'streamable-http', url: plan.url, headers };
}

async function ask(...method) {
    const rest = ['--config', config, '--server', 'subject', '--protocol-era', plan.mode, '--format', 'json', '--quiet', '--connect-timeout', `${PATIENCE}`];
    const environment = { ...process.env, MCP_INSPECTOR_SECRET_STORE: 'memory', HOME: folder };
    const command = [plan.inspector, '--cli', ...rest, '--method', ...method];
    const done = await run(process.execPath, command, { timeout: PATIENCE, env: environment, maxBuffer: 1 << 26 });
    const answer = JSON.parse(done.stdout);
    return answer.result ?? answer;
}

async function drive() {
    const report = { tools: (await ask('tools/list')).tools.length };
    if (plan.call) {
        const values = JSON.stringify(plan.call.arguments);
        try {
            const named = ['--tool-name', plan.call.name, '--tool-args-json', values];
            const answer = await ask('tools/call', ...named);
            report.call = answer.isError ? 'error' : 'ok';
        } catch (error) {
            // A tool's own error ends the Inspector with a status of its own, and still with the result.
            let answer;
            try {
                answer = JSON.parse(error.stdout);
            } catch {
                throw error;
            }
            if (!(answer.result ?? answer).isError) throw error;
            report.call = 'error';
        }
    }
    if (plan.offers.resources) report.resources = (await ask('resources/list')).resources.length;
    if (plan.offers.prompts) report.prompts = (await ask('prompts/list')).prompts.length;
    return report;
}

try {
    writeFileSync(config, JSON.stringify({ mcpServers: { subject: described() } }), { mode: 0o600 });
    process.stdout.write(JSON.stringify(await drive()));
} catch (error) {
    process.stderr.write(`${(error.stderr || error.stdout || error.message).trim()}\n`);
    process.exitCode = 1;
} finally {
    rmSync(folder, { recursive: true, force: true });
}
