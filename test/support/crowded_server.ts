/**
 * A server in a separate process, to run with few file descriptors. Prints its port, and events on
 * stderr.
 *
 * @module
 */
import { HttpServer } from "../../lib/remote/api/http_server.ts";

const server = new HttpServer({
  hostname: "127.0.0.1",
  port: 0,
  tls: undefined,
  maxConnections: 300,
  graceMs: 60_000,
  drainMs: 1_000,
  onError: (error) => console.error(String(error)),
  answer: () => new Response("here"),
});
console.log(server.port);
for await (const _ of Deno.stdin.readable);
await server[Symbol.asyncDispose]();
