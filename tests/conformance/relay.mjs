// A reverse proxy that adds the API key to every request, because the conformance suite cannot send that header.
// It forwards everything else unchanged, Host and Origin included. Prints its URL.
// Usage: SKILLKEEP_API_KEY=KEY node relay.mjs http://127.0.0.1:PORT

import http from 'node:http';

const target = new URL(process.argv[2]);
const authorization = `Bearer ${process.env.SKILLKEEP_API_KEY}`;

const relay = http.createServer((request, response) => {
  const { hostname: host, port } = target;
  const headers = { ...request.headers, authorization };
  const forwarded = http.request({ host, port, path: request.url, method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  forwarded.on('error', () => response.destroy());
  // The server must see that the client disconnected.
  response.on('close', () => forwarded.destroy());
  request.pipe(forwarded);
});
relay.listen(0, '127.0.0.1', () => console.log(`http://localhost:${relay.address().port}`));
