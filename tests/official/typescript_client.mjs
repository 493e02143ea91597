// A person at a client built on the official TypeScript SDK: connects, logs in when asked to, calls, steps up.
// Its one argument is JSON: generation (1 or 2) of the SDK, revision of MCP or auto, endpoint, user and password;
// clientId where it is known beforehand, document where a client id metadata document has it: else it registers.
// It prints what it saw as one line of JSON.

import { randomUUID } from 'node:crypto';

const { generation, revision, endpoint, user, password, clientId, document } = JSON.parse(process.argv[2]);

const sdk =
  generation === 1
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
      }
    : await import('@modelcontextprotocol/client');

/** The SDK's OAuth provider, everything in memory, its browser being a person who knows the password. */
class Provider {
  redirectUrl = 'http://127.0.0.1:8765/callback';
  clientMetadata = {
    client_name: `TypeScript client, generation ${generation}`,
    redirect_uris: [this.redirectUrl],
    token_endpoint_auth_method: 'none',
  };
  logins = []; // the parameters of every authorization request
  back = undefined; // what the last redirect brought
  #state = randomUUID();
  #kept = clientId ? { client: { client_id: clientId } } : {};
  clientMetadataUrl = document;

  state = () => this.#state;
  clientInformation = () => this.#kept.client;
  saveClientInformation = (client) => void (this.#kept.client = client);
  tokens = () => this.#kept.tokens;
  saveTokens = (tokens) => void (this.#kept.tokens = tokens);
  codeVerifier = () => this.#kept.verifier;
  saveCodeVerifier = (verifier) => void (this.#kept.verifier = verifier);

  async redirectToAuthorization(url) {
    this.logins.push(Object.fromEntries(url.searchParams));
    this.back = await logIn(url);
    if (this.back.get('state') !== this.#state) throw new Error('the redirect brought another state');
  }
}

/** What a browser brings back that fills in every form on its way: the parameters of the last redirect. */
async function logIn(url) {
  const home = url.searchParams.get('redirect_uri');
  const cookies = new Map();
  const ask = async (to, body) => {
    const headers = { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') };
    const answer = await fetch(to, { method: body ? 'POST' : 'GET', body, headers, redirect: 'manual' });
    for (const cookie of answer.headers.getSetCookie()) cookies.set(...cookie.split(';')[0].split(/=(.*)/s, 2));
    return answer;
  };
  let answer = await ask(url);
  for (;;) {
    const location = answer.headers.get('location');
    if (location?.startsWith(home)) return new URL(location).searchParams;
    if (location) {
      answer = await ask(new URL(location, answer.url));
    } else {
      const page = await answer.text();
      const [, action] = page.match(/<form method="post" action="([^"]+)"/);
      const form = new URLSearchParams();
      for (const [, name, value] of page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g))
        form.set(name, value);
      for (const [name, value] of Object.entries({ username: user, password, decision: 'approve' }))
        if (page.includes(`name="${name}"`)) form.set(name, value);
      answer = await ask(new URL(action.replaceAll('&amp;', '&'), answer.url), form);
    }
  }
}

const provider = new Provider();

/** Every connection is of a new client, as after a page that was left for the login. */
function newClient() {
  const transport = new sdk.StreamableHTTPClientTransport(new URL(endpoint), { authProvider: provider });
  const negotiated = { auto: 'auto', '2026-07-28': { pin: revision } }[revision];
  const options = negotiated
    ? { versionNegotiation: { mode: negotiated } }
    : { supportedProtocolVersions: [revision] }; // the first generation knows neither option, and its last revision only
  const client = new sdk.Client({ name: 'typescript', version: '1.0.0' }, options);
  return { client, transport };
}

/** Do something with a connected client; a login asked for on the way is finished, and all begins anew, once. */
async function using(act) {
  const { client, transport } = newClient();
  try {
    await client.connect(transport);
    return await act(client, transport);
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    await transport.finishAuth(generation === 1 ? provider.back.get('code') : provider.back);
  } finally {
    await client.close();
  }
  const again = newClient();
  await again.client.connect(again.transport);
  try {
    return await act(again.client, again.transport);
  } finally {
    await again.client.close();
  }
}

const names = async (client) => (await client.listTools()).tools.map((tool) => tool.name).sort();
const text = (result) => result.content[0].text;

const seen = {};
seen.tools = await using(names);
await using(async (client, transport) => {
  seen.revision = transport.protocolVersion;
  seen.session = transport.sessionId !== undefined;
  seen.greeting = text(await client.callTool({ name: 'greet', arguments: { name: 'Ada' } }));
  seen.prompt = (await client.getPrompt({ name: 'greeting-template', arguments: { name: 'Ada' } })).messages.length;
  if (seen.tools.includes('get_bedrock_usage_report')) {
    const report = await client.callTool({ name: 'get_bedrock_usage_report', arguments: { days: 5 } });
    seen.requestsInReport = report.structuredContent.totals.requests;
  }
});
seen.loginsBeforeStepUp = provider.logins.length;
// The first generation answers the 403 with a refresh, which can never bring more scopes, and gives up
// (typescript-sdk issue 2255); it steps up where it has nothing to refresh with.
if (generation === 1) provider.saveTokens({ ...provider.tokens(), refresh_token: undefined });
seen.progress = [];
seen.many = await using(async (client) => {
  const options = { onprogress: ({ progress }) => seen.progress.push(progress) };
  const call = { name: 'multi-greet', arguments: {} };
  return text(await client.callTool(call, ...(generation === 1 ? [undefined, options] : [options])));
});
seen.toolsAfterStepUp = await using(names);

// A token that the gate refuses is replaced without the person.
provider.saveTokens({ ...provider.tokens(), access_token: 'not.a.token' });
seen.greetingAfterRefresh = await using(async (client, transport) => {
  const result = text(await client.callTool({ name: 'greet', arguments: {} }));
  if (transport.sessionId) await transport.terminateSession();
  return result;
});
seen.logins = provider.logins;
console.log(JSON.stringify(seen));
