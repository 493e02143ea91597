// A client on the official TypeScript SDK that has a token already, or none: it uses all that the small server offers.
// Its one argument is JSON: generation (1 or 2) of the SDK, revision of MCP or auto, endpoint and token.
// It prints what it saw as one line of JSON.

const { generation, revision, endpoint, token } = JSON.parse(process.argv[2]);
const sdk =
  generation === 1
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
      }
    : await import('@modelcontextprotocol/client');

const headers = token ? { authorization: `Bearer ${token}` } : {};
const transport = new sdk.StreamableHTTPClientTransport(new URL(endpoint), { requestInit: { headers } });
const negotiated = { auto: 'auto', '2026-07-28': { pin: revision } }[revision];
const options = negotiated ? { versionNegotiation: { mode: negotiated } } : { supportedProtocolVersions: [revision] };
const client = new sdk.Client({ name: 'typescript', version: '1.0.0' }, options);
await client.connect(transport);

const progress = [];
const report = { onprogress: (step) => progress.push(step.progress) };
const call = { name: 'report', arguments: {} };
const seen = {
  revision: transport.protocolVersion,
  tools: (await client.listTools()).tools.map((tool) => tool.name).sort(),
  sum: (await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } })).content[0].text,
  reported: (await client.callTool(call, ...(generation === 1 ? [undefined, report] : [report]))).content[0].text,
  progress,
  note: (await client.readResource({ uri: 'note://one' })).contents[0].text,
  hello: (await client.getPrompt({ name: 'hello', arguments: { name: 'Ada' } })).messages[0].content.text,
};
if (transport.sessionId) await transport.terminateSession();
await client.close();
console.log(JSON.stringify(seen));
