// Lets `run` steer the TypeScript SDK, either major version: a JSON command a line in, a JSON answer a line out.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const order = JSON.parse(process.env.ORDER);
// The SDKs are installed far from this file, where an import does not look.
const load = createRequire(`${order.modules}/`);

function sdk() {
  if (order.package === '@modelcontextprotocol/client') {
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
const [command, ...args] = order.command;
const options = { requestInit: { headers: { Authorization: `Bearer ${order.key}` } } };
const transport = {
  stdio: () => new StdioClientTransport({ command, args, env: order.env }),
  http: () => new StreamableHTTPClientTransport(new URL(order.url), options),
  sse: () => new SSEClientTransport(new URL(order.url), options),
}[order.transport]();
// The older SDK speaks only the old revision, and its transport is the only one to tell which.
let revision;
const setProtocolVersion = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (version) => {
  revision = version;
  setProtocolVersion?.(version);
};
const mode = order.revision === '2025-11-25' ? 'legacy' : 'auto';
const client = new Client(order.client, { versionNegotiation: { mode } });
await client.connect(transport);
console.log(JSON.stringify({ revision: client.getNegotiatedProtocolVersion?.() ?? revision }));

for await (const line of createInterface({ input: process.stdin })) {
  const { method, name, uri, arguments: given } = JSON.parse(line);
  const ask = {
    'tools/list': () => client.listTools(),
    'tools/call': () => client.callTool({ name, arguments: given }),
    'resources/list': () => client.listResources(),
    'resources/read': () => client.readResource({ uri }),
  }[method];
  let answer;
  try {
    answer = { result: await ask() };
  } catch (error) {
    answer = { error: { code: error.code, message: error.message } };
  }
  console.log(JSON.stringify(answer));
}
await client.close();
