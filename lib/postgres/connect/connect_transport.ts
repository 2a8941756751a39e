/**
 * Connects to a server over TCP or a Unix socket, and negotiates TLS.
 *
 * @module
 */
import { startTls } from "./tls.ts";
import type { Transport } from "./transport.ts";
import type { TlsSettings } from "./tls_settings.ts";
import { explainUnknownHost } from "./unknown_host.ts";
import type { HostPort } from "./url.ts";

/** What one attempt to connect does about TLS. */
export type Encryption = "plain" | "if-offered" | "required";

/**
 * Connects to one host, and negotiates TLS as PostgreSQL does.
 *
 * Source: PostgreSQL documentation, "54.2.9. SSL Session Encryption". Requires `--allow-net` for
 * the host, or `--allow-read --allow-write` for a Unix socket.
 *
 * @throws the runtime's error when the host cannot be reached, {@linkcode TlsRefusedError} when TLS
 * is required and not offered, an error of `node:tls` when handshake or verification fails
 */
export async function connectTransport(
  { host, port, addresses }: HostPort,
  { encryption, tls, signal }: {
    readonly encryption: Encryption;
    readonly tls: TlsSettings;
    readonly signal: AbortSignal;
  },
): Promise<Transport> {
  signal.throwIfAborted();
  if (host.startsWith("/")) {
    const path = `${host}/.s.PGSQL.${port}`;
    return plainTransport(await closingLate(Deno.connect({ transport: "unix", path }), signal));
  }
  const connection = await connectTcp(addresses ?? [host], port, signal);
  const abort = () => closeQuietly(connection);
  signal.addEventListener("abort", abort, { once: true });
  try {
    connection.setNoDelay(true);
    connection.setKeepAlive(true); // the intervals are set on the server's side, see settings.ts
    if (encryption === "plain") return plainTransport(connection);
    if (tls.negotiation === "direct" || await askForTls(connection)) {
      return await startTls(plainTransport(connection), { host, tls });
    }
    if (encryption === "required") throw new TlsRefusedError();
    return plainTransport(connection);
  } catch (error) {
    closeQuietly(connection);
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/**
 * Connects to the first address that accepts; throws the error of the last when none does.
 */
async function connectTcp(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  let failure: unknown = new Error("no address to connect to");
  for (const hostname of addresses) {
    try {
      return await closingLate(Deno.connect({ hostname, port }), signal);
    } catch (error) {
      signal.throwIfAborted();
      failure = await explainUnknownHost(error, { host: hostname, signal });
    }
  }
  throw failure;
}

/** The URL requires TLS, and the server has it switched off. */
class TlsRefusedError extends Error {
  override readonly name = "TlsRefusedError";
  constructor() {
    super("the server does not offer TLS");
  }
}

/** Stops waiting when the signal aborts, and closes the connection if it is made afterwards. */
async function closingLate<Connection extends Deno.Conn>(
  connecting: Promise<Connection>,
  signal: AbortSignal,
): Promise<Connection> {
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([connecting, aborted]);
  } catch (error) {
    connecting.then(closeQuietly, () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

const sslRequest = new Uint8Array([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

async function askForTls(connection: Deno.Conn): Promise<boolean> {
  await writeAll(connection, sslRequest);
  // exactly one byte: anything more would be plaintext that a man in the middle injected before
  // the handshake (CVE-2021-23222)
  const answer = new Uint8Array(2);
  const count = await connection.read(answer);
  if (count === null) throw new Error("the server closed the connection on the request for TLS");
  if (count > 1) {
    throw new Error("the server sent unencrypted data after its answer to the request for TLS");
  }
  if (answer[0] === 0x53) return true;
  if (answer[0] === 0x4e) return false;
  throw new Error("the program listening on this port is not PostgreSQL");
}

function plainTransport(connection: Deno.Conn): Transport {
  return {
    encrypted: false,
    certificateHash: undefined,
    read: (into) => connection.read(into),
    write: (bytes) => writeAll(connection, bytes),
    close: () => closeQuietly(connection),
  };
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += await connection.write(bytes.subarray(written));
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // closed already
  }
}
