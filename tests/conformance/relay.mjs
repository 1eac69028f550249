// Adds the API key to every request, because the conformance suite cannot send a header. Everything else, Host and
// Origin among it, passes through as it came. Prints its address.
// Usage: node relay.mjs http://127.0.0.1:PORT   (the key in SKILLKEEP_API_KEY)

import http from 'node:http';

const target = new URL(process.argv[2]);
const authorization = `Bearer ${process.env.SKILLKEEP_API_KEY}`;

const relay = http.createServer((request, response) => {
  const { hostname: host, port } = target;
  const headers = { ...request.headers, authorization };
  const onward = http.request({ host, port, path: request.url, method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  // A client that hangs up must be seen to.
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
relay.listen(0, '127.0.0.1', () => console.log(`http://localhost:${relay.address().port}`));
