// Runs the commands of the client check with the TypeScript SDK (either major version).
// Reads one JSON command per line and writes one JSON answer per line. CLIENT_CONFIG has the connection as JSON.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const config = JSON.parse(process.env.CLIENT_CONFIG);
// The SDKs are not installed beside this file, so `import` does not find them.
const load = createRequire(`${config.modules}/`);

function sdk() {
  if (config.package === '@modelcontextprotocol/client') {
    return { ...load('@modelcontextprotocol/client'), ...load('@modelcontextprotocol/client/stdio') };
  }
  return {
    ...load('@modelcontextprotocol/sdk/client/index.js'),
    ...load('@modelcontextprotocol/sdk/client/stdio.js'),
    ...load('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    ...load('@modelcontextprotocol/sdk/client/sse.js'),
  };
}

const { Client, SSEClientTransport, StdioClientTransport, StreamableHTTPClientTransport } = sdk();
const [command, ...args] = config.command;
const options = { requestInit: { headers: { Authorization: `Bearer ${config.api_key}` } } };
const transport = {
  stdio: () => new StdioClientTransport({ command, args, env: config.env }),
  http: () => new StreamableHTTPClientTransport(new URL(config.url), options),
  sse: () => new SSEClientTransport(new URL(config.url), options),
}[config.transport]();
// The older SDK reports the negotiated version only to its transport.
let negotiated;
const setProtocolVersion = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (version) => {
  negotiated = version;
  setProtocolVersion?.(version);
};
const mode = config.protocol_version === '2025-11-25' ? 'legacy' : 'auto';
const client = new Client(config.client, { versionNegotiation: { mode } });
await client.connect(transport);
console.log(JSON.stringify({ protocol_version: client.getNegotiatedProtocolVersion?.() ?? negotiated }));

for await (const line of createInterface({ input: process.stdin })) {
  const { method, name, uri, arguments: given } = JSON.parse(line);
  const request = {
    'tools/list': () => client.listTools(),
    'tools/call': () => client.callTool({ name, arguments: given }),
    'resources/list': () => client.listResources(),
    'resources/read': () => client.readResource({ uri }),
  }[method];
  let answer;
  try {
    answer = { result: await request() };
  } catch (error) {
    answer = { error: { code: error.code, message: error.message } };
  }
  console.log(JSON.stringify(answer));
}
await client.close();
