// Gives the conformance suite a bearer token: the suite itself sends no credentials.
//
// Loaded with `node --import`. Node and undici announce every request before its headers are sent, whichever of
// `fetch`, undici and `node:http` makes it; the header is added there, for the server under test alone.

import diagnostics from 'node:diagnostics_channel';

const { CONFORMANCE_TOKEN: token, CONFORMANCE_ORIGIN: origin } = process.env;
delete process.env.CONFORMANCE_TOKEN;

if (token) {
  const authorization = `Bearer ${token}`;
  const { host } = new URL(origin);
  diagnostics.subscribe('undici:request:create', ({ request }) => {
    if (String(request.origin) === origin) request.addHeader('authorization', authorization);
  });
  diagnostics.subscribe('http.client.request.created', ({ request }) => {
    if (request.getHeader('host') === host) request.setHeader('authorization', authorization);
  });
}
