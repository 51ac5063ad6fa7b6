// Drives one MCP server with an example client that the TypeScript SDK ships.
//
// Reads a plan as python_sdk.py does, with "examples": their folder and "mode": the name of one. What the example
// prints is the only thing it gives, so that is what is read.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const PATIENCE = 240_000;
const plan = JSON.parse(await text(process.stdin));
const preload = new URL('bearer.mjs', import.meta.url).href;

class Example {
    constructor(script, ...rest) {
        const environment = { ...process.env, SUBJECT_URL: plan.url, SUBJECT_TOKEN: plan.token ?? '' };
        const command = ['--import', preload, join(plan.examples, script), ...rest];
        this.said = '';
        this.child = spawn(process.execPath, command, { env: environment, stdio: ['pipe', 'pipe', 'pipe'] });
        this.ended = new Promise(resolve => this.child.on('close', status => resolve((this.status = status))));
        for (const stream of [this.child.stdout, this.child.stderr]) {
            stream.setEncoding('utf8').on('data', words => {
                this.said += words;
                this.heard?.();
            });
        }
        this.ended.then(() => this.heard?.());
        setTimeout(() => this.child.kill('SIGKILL'), PATIENCE).unref();
    }

    // Waits for words; answers with everything said since an offset.
    async until(words, from = 0) {
        while (!this.said.slice(from).includes(words)) {
            if (this.status !== undefined) throw new Error(`the example ended: ${this.said.slice(-600)}`);
            await new Promise(resolve => (this.heard = resolve));
        }
        return this.said.slice(from);
    }

    async command(line) {
        const from = this.said.length;
        this.child.stdin.write(`${line}\n`);
        return this.until('\n> ', from);
    }
}

const fail = said => {
    throw new Error(said.trim().slice(0, 600));
};
const count = (said, start) => said.split('\n').filter(line => line.startsWith(start)).length;

async function interactive() {
    const example = new Example('simpleStreamableHttp.js');
    await example.until('\n> ');
    const connected = await example.command(`connect ${plan.url}`);
    if (!connected.includes('Connected to MCP server')) fail(connected);
    const listed = await example.command('list-tools');
    const report = { tools: count(listed, '  - id:') };
    if (!report.tools) fail(listed);
    if (plan.call) {
        const answer = await example.command(`call-tool ${plan.call.name} ${JSON.stringify(plan.call.arguments)}`);
        // The example prints a result, also a tool's own error, and otherwise "Error calling tool".
        if (!answer.includes('Tool result:')) fail(answer);
        report.call = 'answered';
    }
    for (const kind of ['resources', 'prompts']) {
        if (plan.offers[kind]) report[kind] = count(await example.command(`list-${kind}`), '  - ');
    }
    example.child.stdin.write('quit\n');
    const ended = await example.until('Goodbye!');
    if (ended.includes('Error terminating session')) fail(ended.slice(ended.indexOf('Error terminating')));
    await example.ended;
    return report;
}

async function fallback() {
    const example = new Example('streamableHttpWithSseFallbackClient.js', plan.url);
    await example.ended;
    const tools = count(example.said, '  - ');
    if (example.status !== 0 || !tools) fail(example.said.slice(-1200));
    const streamable = example.said.includes('Successfully connected using modern Streamable HTTP');
    const calling = example.said.includes('Tool result:') || example.said.includes('Error calling');
    if (!calling) fail(example.said.slice(-600));
    return { tools, over: streamable ? 'streamable_http' : 'sse' };
}

try {
    const report = await { interactive, fallback }[plan.mode]();
    process.stdout.write(JSON.stringify(report));
} catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
}
