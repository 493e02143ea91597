// The TypeScript SDK with requireBearerAuth, on express; verifying is left to a library, here jose.
// Run: node typescript_sdk.mjs PORT ISSUER, in a folder with the packages.
import { randomUUID } from "node:crypto";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { mcpAuthMetadataRouter, getOAuthProtectedResourceMetadataUrl } from "@modelcontextprotocol/sdk/server/auth/router.js";

const [port, issuer] = process.argv.slice(-2);
const url = new URL(`http://127.0.0.1:${port}/mcp`);
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));

const verifier = {
  async verifyAccessToken(token) {
    try {
      const options = { issuer, audience: url.href, algorithms: ["RS256"], typ: "at+jwt", requiredClaims: ["exp", "sub"] };
      const { payload } = await jwtVerify(token, keys, options);
      const scopes = String(payload.scope ?? "").split(" ");
      return { token, clientId: payload.client_id, scopes, expiresAt: payload.exp, resource: url, extra: payload };
    } catch (error) {
      throw new InvalidTokenError("The token is not valid here");
    }
  },
};

const app = createMcpExpressApp();
const endpoint = `${issuer}`;
const oauthMetadata = {
  issuer: endpoint,
  authorization_endpoint: `${endpoint}/authorize`,
  token_endpoint: `${endpoint}/token`,
  response_types_supported: ["code"],
};
app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl: url, scopesSupported: ["mcp:use"] }));
const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(url);
app.use("/mcp", requireBearerAuth({ verifier, requiredScopes: ["mcp:use"], resourceMetadataUrl, expectedResource: url }));

const transports = new Map();

async function opened() {
  const server = new McpServer({ name: "stock", version: "1" });
  server.registerTool("ping", { description: "Say pong." }, async () => ({ content: [{ type: "text", text: "pong" }] }));
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => transports.set(id, transport),
  });
  transport.onclose = () => transports.delete(transport.sessionId);
  await server.connect(transport);
  return transport;
}

app.post("/mcp", async (request, response) => {
  const named = request.headers["mcp-session-id"];
  const opening = !Array.isArray(request.body) && request.body?.method === "initialize";
  const transport = transports.get(named) ?? (opening ? await opened() : undefined);
  if (transport === undefined) {
    const error = { code: -32000, message: "Bad Request: No valid session ID provided" };
    response.status(named ? 404 : 400).json({ jsonrpc: "2.0", error, id: null });
    return;
  }
  await transport.handleRequest(request, response, request.body);
});
const bySession = async (request, response) => {
  const transport = transports.get(request.headers["mcp-session-id"]);
  if (transport === undefined) return response.status(request.headers["mcp-session-id"] ? 404 : 400).send("Invalid or missing session ID");
  await transport.handleRequest(request, response);
};
app.get("/mcp", bySession);
app.delete("/mcp", bySession);
app.listen(Number(port), "127.0.0.1", () => console.log("up"));
