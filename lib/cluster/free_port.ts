/**
 * A currently free TCP port on 127.0.0.1. Another process may take it before the caller does, who
 * must then try again.
 *
 * Requires `--allow-net=127.0.0.1`.
 */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
