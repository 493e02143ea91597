// The same small server on the official TypeScript SDK: its one argument is the generation, 1 or 2.
// The first keeps sessions, the second serves every revision without any. It prints its endpoint and serves there.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { z } from 'zod';

const generation = Number(process.argv[2]);
const { McpServer, createMcpHandler } = await (generation === 1
  ? import('@modelcontextprotocol/sdk/server/mcp.js')
  : import('@modelcontextprotocol/server'));
const schema = (shape) => (generation === 1 ? shape : z.object(shape));
const said = (text) => ({ content: [{ type: 'text', text }] });

function small() {
  const server = new McpServer({ name: 'small', version: '1' });
  const numbers = schema({ a: z.number(), b: z.number() });
  server.registerTool('add', { description: 'Adds two numbers.', inputSchema: numbers }, ({ a, b }) => said(String(a + b)));
  server.registerTool('report', { description: 'Reports three steps.' }, async (extra) => {
    const request = generation === 1 ? extra : extra.mcpReq;
    for (const progress of [1, 2, 3]) {
      if (request._meta?.progressToken === undefined) continue;
      const params = { progressToken: request._meta.progressToken, progress, total: 3 };
      const notify = generation === 1 ? extra.sendNotification : extra.mcpReq.notify;
      await notify({ method: 'notifications/progress', params });
    }
    return said('reported');
  });
  const note = { description: 'A note.', mimeType: 'text/plain' };
  server.registerResource('note', 'note://one', note, (uri) => ({ contents: [{ uri: uri.href, text: 'a note' }] }));
  const hello = { description: 'Greets.', argsSchema: schema({ name: z.string() }) };
  server.registerPrompt('hello', hello, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Say hello to ${name}.` } }],
  }));
  return server;
}

async function stateful() {
  const { StreamableHTTPServerTransport } = await import('@modelcontextprotocol/sdk/server/streamableHttp.js');
  const sessions = new Map();
  return async (request, response) => {
    const id = request.headers['mcp-session-id'];
    if (id !== undefined && !sessions.has(id)) return response.writeHead(404).end();
    let transport = sessions.get(id);
    if (transport === undefined) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (opened) => void sessions.set(opened, transport),
      });
      await small().connect(transport);
    }
    await transport.handleRequest(request, response);
  };
}

const handle = generation === 1 ? await stateful() : (await import('@modelcontextprotocol/node')).toNodeHandler(createMcpHandler(small));
const http = createServer((request, response) => void handle(request, response));
http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}/mcp`));
