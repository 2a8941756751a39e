/** SQLSTATE `cannot_connect_now`: the server is starting up, recovering or shutting down. */
const CANNOT_CONNECT_NOW = "57P03";

/**
 * Whether a server accepts connections on its Unix socket. The socket is in its own folder, so no
 * other server can answer. A rejected login counts as ready, since only a running server evaluates
 * `pg_hba.conf`.
 *
 * Requires read and write access to the socket, and `--allow-net`, which covers Unix sockets.
 */
export async function isReady(socketPath: string): Promise<boolean> {
  try {
    using connection = await Deno.connect({ transport: "unix", path: socketPath });
    await connection.write(startupPacket({ user: "readiness", database: "postgres" }));
    const reply = new Uint8Array(1024);
    const length = await connection.read(reply);
    if (!length) return false;
    const text = new TextDecoder().decode(reply.subarray(0, length));
    return text[0] === "R" || (text[0] === "E" && !text.includes(CANNOT_CONNECT_NOW));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}

function startupPacket(parameters: Readonly<Record<string, string>>): Uint8Array {
  const body = Object.entries(parameters).flat().map((each) => `${each}\0`).join("") + "\0";
  const packet = new Uint8Array(8 + body.length);
  const view = new DataView(packet.buffer);
  view.setUint32(0, packet.length);
  view.setUint32(4, 3 << 16); // protocol 3.0
  packet.set(new TextEncoder().encode(body), 8);
  return packet;
}
