/**
 * A TCP port of 127.0.0.1 that nobody listens on at this moment. Somebody may take it before the
 * caller does: be ready to ask again.
 *
 * Requires `--allow-net=127.0.0.1`.
 */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
