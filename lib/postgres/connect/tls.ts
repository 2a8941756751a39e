/**
 * TLS over a pull-based transport.
 *
 * `node:tls` on its own socket reads as fast as the network delivers and buffers without limit
 * (measured: 1.17 GB for a 714 MB table and a slow target). Here it runs over a stream that reads
 * from the network only while decrypted bytes are consumed, which keeps memory flat.
 * `Deno.startTls` would keep it flat too, but it cannot skip verification (`sslmode=require`), send
 * a client certificate, or trust a self-signed one.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { Duplex } from "node:stream";
import { connect, rootCertificates, type TLSSocket } from "node:tls";
import { certificateHash } from "./channel_binding.ts";
import type { TlsSettings } from "./tls_settings.ts";
import type { Transport } from "./transport.ts";
import { TlsBufferGc } from "./tls_buffer_gc.ts";

/**
 * Large, because TLS moves its unprocessed input for every record.
 */
const readBytes = 256 * 1024;

/** Unconsumed bytes above which reading from the network pauses. */
const maxUnconsumedBytes = 256 * 1024;

/**
 * Performs the handshake over `transport` and verifies what `sslmode` requires.
 *
 * @throws an error of `node:tls` (its `code` is the reason of a failed verification)
 */
export async function startTls(
  transport: Transport,
  { host, tls }: { readonly host: string; readonly tls: TlsSettings },
): Promise<Transport> {
  const verify = tls.rootCertificates !== undefined;
  const gate = new Gate();
  const socket = connect({
    socket: encryptedSide(transport, gate),
    rejectUnauthorized: verify,
    ALPNProtocols: [alpnProtocol],
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ...(tls.rootCertificates === undefined ? {} : {
      ca: tls.rootCertificates === "system" ? [...rootCertificates] : tls.rootCertificates,
    }),
    ...(tls.serverNameIndication && isIP(host) === 0 ? { servername: host } : {}),
    ...(tls.mode === "verify-full" ? { host } : { checkServerIdentity: () => undefined }),
    ...(tls.client === undefined ? {} : {
      cert: tls.client.certificate,
      key: tls.client.key.reveal(),
      ...(tls.client.passphrase === undefined
        ? {}
        : { passphrase: tls.client.passphrase.reveal() }),
    }),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
    socket.once(
      "close",
      () => reject(new Error("the server closed the connection during the TLS handshake")),
    );
  }).catch((error) => {
    socket.destroy();
    throw error;
  });
  // checks that the runtime has done what was requested
  const version = socket.getProtocol();
  const refusal = version === null || !(version >= tls.minVersion && version <= tls.maxVersion)
    ? `${version ?? "an unknown version of TLS"} was negotiated, which is not allowed`
    : tls.negotiation === "direct" && socket.alpnProtocol !== alpnProtocol
    ? "the server does not support direct TLS connections (sslnegotiation=direct, PostgreSQL 17 and later)"
    : undefined;
  if (refusal !== undefined) {
    socket.destroy();
    throw new TlsVersionError(refusal);
  }
  const { raw } = socket.getPeerCertificate();
  return decryptedSide(socket, {
    transport,
    gate,
    certificateHash: raw === undefined ? undefined : await certificateHash(new Uint8Array(raw)),
  });
}

const alpnProtocol = "postgresql";

/** The connection is encrypted, but not as the URL requires. */
class TlsVersionError extends Error {
  override readonly name = "TlsVersionError";
}

/**
 * Pauses reading from the network while decrypted bytes are not consumed: TLS requests more
 * encrypted bytes nevertheless, and buffers them where no property of the socket shows.
 *
 * So it counts bytes read from the network minus bytes consumed. A reader that finds nothing has
 * consumed everything, which resets the count (records are slightly longer than their contents).
 */
class Gate {
  #unconsumedBytes = 0;
  #isOpen = true; // the handshake consumes its own input
  #wake = () => {};

  /** Resolves when more may be read from the network. */
  async pass(): Promise<void> {
    while (!this.#isOpen && this.#unconsumedBytes > maxUnconsumedBytes) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Counts bytes received from the network. */
  received(bytes: number): void {
    this.#unconsumedBytes += bytes;
  }

  /** Counts bytes consumed by the reader. */
  consumed(bytes: number): void {
    this.#isOpen = false;
    this.#unconsumedBytes = Math.max(0, this.#unconsumedBytes - bytes);
    if (this.#unconsumedBytes <= maxUnconsumedBytes) this.#wake();
  }

  /** The reader waits for input, or will not read again. */
  open(): void {
    this.#isOpen = true;
    this.#unconsumedBytes = 0;
    this.#wake();
  }
}

/**
 * The stream that TLS reads from and writes to: one read from the network for each read by TLS.
 */
function encryptedSide(transport: Transport, gate: Gate): Duplex {
  let buffer = new Uint8Array(readBytes);
  const buffers = new TlsBufferGc();
  return new Duplex({
    readableHighWaterMark: readBytes,
    async read() {
      try {
        await gate.pass();
        const count = await transport.read(buffer);
        gate.received(count ?? 0);
        buffers.count(count ?? 0);
        if (count === null) this.push(null);
        else if (count < readBytes / 2) {
          // copied: otherwise thousands of large, nearly empty buffers await garbage collection
          this.push(Buffer.from(buffer.subarray(0, count)));
        } else {
          const full = buffer;
          buffer = new Uint8Array(readBytes);
          this.push(Buffer.from(full.buffer, 0, count));
        }
      } catch (error) {
        this.destroy(error as Error);
      }
    },
    write(bytes: Uint8Array, _encoding, done) {
      transport.write(bytes).then(() => done(), done);
    },
    destroy(error, done) {
      buffers[Symbol.dispose]();
      transport.close();
      done(error);
    },
  });
}

/** Turns the event-driven socket into a pull-based transport. */
function decryptedSide(
  socket: TLSSocket,
  { transport, gate, certificateHash }: {
    readonly transport: Transport;
    readonly gate: Gate;
    readonly certificateHash: Uint8Array | undefined;
  },
): Transport {
  let failure: Error | undefined;
  let ended = false;
  let wake = () => {};
  socket.removeAllListeners("error").removeAllListeners("close");
  socket.on("readable", () => wake());
  socket.on("end", () => {
    ended = true;
    wake();
  });
  socket.on("error", (error) => {
    failure ??= error;
    wake();
  });
  socket.on("close", () => {
    ended = true;
    wake();
  });
  return {
    encrypted: true,
    certificateHash,
    async read(into) {
      while (true) {
        const chunk: Uint8Array | null = socket.read();
        if (chunk !== null) {
          into.set(chunk.subarray(0, into.length));
          const count = Math.min(chunk.length, into.length);
          if (chunk.length > count) socket.unshift(chunk.subarray(count));
          gate.consumed(count);
          return count;
        }
        if (failure !== undefined) throw failure;
        if (ended) return null;
        gate.open();
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    write(bytes) {
      if (failure !== undefined) return Promise.reject(failure);
      return new Promise((resolve, reject) =>
        socket.write(bytes, (error) => error ? reject(error) : resolve())
      );
    },
    close() {
      socket.destroy();
      transport.close();
      gate.open();
    },
  };
}
