// A client on the official TypeScript SDK that has a token already, or none: it uses all that the small server offers,
// or the official server with everything in it.
// Its one argument is JSON: generation (1 or 2) of the SDK, revision of MCP or auto, endpoint, token, and server, which
// is everything or left out.
// It prints what it saw as one line of JSON.

const { generation, revision, endpoint, token, server } = JSON.parse(process.argv[2]);
const sdk =
  generation === 1
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/types.js')),
      }
    : await import('@modelcontextprotocol/client');

const headers = token ? { authorization: `Bearer ${token}` } : {};
const transport = new sdk.StreamableHTTPClientTransport(new URL(endpoint), { requestInit: { headers } });
const negotiated = { auto: 'auto', '2026-07-28': { pin: revision } }[revision];
const options = negotiated ? { versionNegotiation: { mode: negotiated } } : { supportedProtocolVersions: [revision] };
const capabilities = server ? { sampling: {}, elicitation: {}, roots: {} } : {};
const client = new sdk.Client({ name: 'typescript', version: '1.0.0' }, { ...options, capabilities });

const progress = [];
const report = { onprogress: (step) => progress.push(step.progress) };
const call = async (name, args = {}, ...more) => (await client.callTool({ name, arguments: args }, ...more)).content;
const reporting = generation === 1 ? [undefined, report] : [report];
const names = async () => (await client.listTools()).tools.map((tool) => tool.name).sort();

async function small() {
  return {
    tools: await names(),
    sum: (await call('add', { a: 2, b: 3 }))[0].text,
    reported: (await call('report', {}, ...reporting))[0].text,
    progress,
    note: (await client.readResource({ uri: 'note://one' })).contents[0].text,
    hello: (await client.getPrompt({ name: 'hello', arguments: { name: 'Ada' } })).messages[0].content.text,
  };
}

async function everything() {
  const changed = Promise.withResolvers(); // a notification that comes on the stream of no request
  answer('sampling/createMessage', sdk.CreateMessageRequestSchema, () => ({
    role: 'assistant',
    content: { type: 'text', text: 'a reply of the model' },
    model: 'test',
  }));
  answer('elicitation/create', sdk.ElicitRequestSchema, () => ({ action: 'decline' }));
  answer('roots/list', sdk.ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///work', name: 'work' }] }));
  listen('notifications/message', sdk.LoggingMessageNotificationSchema, changed.resolve);
  await client.connect(transport);
  const { resources } = await client.listResources();
  const seen = {
    tools: await names(),
    echo: (await call('echo', { message: 'é\n\u2028' }))[0].text,
    sum: (await call('get-sum', { a: 2, b: 3 }))[0].text,
    image: (await call('get-tiny-image'))[1].mimeType,
    long: (await call('trigger-long-running-operation', { duration: 0.3, steps: 3 }, ...reporting))[0].text,
    progress,
    sampled: JSON.stringify(await call('trigger-sampling-request', { prompt: 'hello', maxTokens: 10 })),
    elicited: JSON.stringify(await call('trigger-elicitation-request')),
    roots: JSON.stringify(await call('get-roots-list')),
    read: (await client.readResource({ uri: resources[0].uri })).contents.length,
    prompt: (await client.getPrompt({ name: 'simple-prompt' })).messages.length,
  };
  await call('toggle-simulated-logging');
  await changed.promise;
  return seen;
}

/** The generations name what is answered and heard in different ways: by schema, and by method. */
const answer = (method, schema, handle) => client.setRequestHandler(generation === 1 ? schema : method, handle);
const listen = (method, schema, handle) => client.setNotificationHandler(generation === 1 ? schema : method, handle);

if (!server) await client.connect(transport);
const seen = await (server ? everything() : small());
seen.revision = transport.protocolVersion;
if (transport.sessionId) await transport.terminateSession();
await client.close();
console.log(JSON.stringify(seen));
