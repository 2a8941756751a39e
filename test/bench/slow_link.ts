/**
 * The tests' proxy in a separate process, so that it does not share a CPU: `slow_link.ts PORT
 * LATENCY_MS BYTES_PER_SECOND`. Prints its port; ends with its standard input.
 *
 * @module
 */
import { startProxy } from "../support/proxy.ts";

const [port = "", latencyMs = "0", bytesPerSecond = "Infinity"] = Deno.args;
await using proxy = await startProxy({ host: "127.0.0.1", port: Number(port) }, {
  latencyMs: Number(latencyMs),
  bytesPerSecond: Number(bytesPerSecond),
});
console.log(proxy.port);
for await (const _ of Deno.stdin.readable);
