// Loaded before an example client that has no option for a token: adds it to requests for the one server.
//
// The token and the server's URL come by the environment. Standard input is no terminal here, so the interactive
// example gets the one method of a terminal that it calls.

const { SUBJECT_URL, SUBJECT_TOKEN } = process.env;
const { origin } = new URL(SUBJECT_URL);
const plain = globalThis.fetch;

globalThis.fetch = (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (!SUBJECT_TOKEN || url.origin !== origin) return plain(input, init);
    const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
    headers.set('Authorization', `Bearer ${SUBJECT_TOKEN}`);
    return plain(input, { ...init, headers });
};

process.stdin.setRawMode ??= () => process.stdin;
