/**
 * Runs pg_dump 18 as WebAssembly over a session of the tool.
 *
 * @module
 */
import {
  decodeOpaque,
  ExitCode,
  quoteLiteral,
  redact,
  ReplicatorError,
} from "../../core/internal.ts";
import { type Endpoint, openSession, ServerError, type Session } from "../../postgres/internal.ts";
import {
  type DumpJob,
  dumpWorker,
  signal as signals,
  type WorkerMessage,
} from "./embedded_dump_worker.ts";
import { embeddedDumpModule } from "./embedded_dump_module.ts";
import { PgServerShim } from "./pg_server_shim.ts";

/** Major version of the embedded pg_dump. */
export const embeddedDumpMajor = 18;

const bufferBytes = 1024 * 1024;

/** What {@linkcode runEmbeddedDump} takes. */
export interface EmbeddedDumpOptions {
  /** The database to dump. */
  readonly endpoint: Endpoint;
  /** Arguments of pg_dump, except those for connection and encoding. */
  readonly args: readonly string[];
  /**
   * The encoding of the dump; `decodeOpaque` documents how invalid UTF-8 is read.
   *
   * @default "UTF8"
   */
  readonly encoding?: string;
  /** Aborts the dump. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs the embedded pg_dump and returns its output. TLS and authentication are those of a session
 * opened for this dump alone, because pg_dump changes its settings.
 *
 * Requires `--allow-net` for the server, and `--allow-read` of Deno's npm cache, which contains
 * the WebAssembly file (an executable contains it itself).
 *
 * @throws ServerError when the server refuses one of pg_dump's queries; ReplicatorError with
 * pg_dump's messages when it fails for another reason
 */
export async function runEmbeddedDump(
  { endpoint, args, encoding = "UTF8", signal }: EmbeddedDumpOptions,
): Promise<string> {
  await using session = await openSession(endpoint, { signal });
  // from the start: pg_dump does not learn of parameters that change later
  await session.execute(`SET client_encoding = ${quoteLiteral(encoding)}`);
  const server = await PgServerShim.for(session);
  signal?.throwIfAborted();
  const worker = startWorker();
  const outcome = Promise.withResolvers<string>();
  const abort = () => outcome.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    const job: DumpJob = {
      module: embeddedDumpModule,
      args: [`--encoding=${encoding}`, ...args],
      control: new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT),
      buffer: new SharedArrayBuffer(bufferBytes),
    };
    const replies = new ReplyChannel(job);
    worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => {
      switch (data.kind) {
        case "send":
          server.answer(data.bytes).then((reply) => replies.send(reply)).catch(outcome.reject);
          break;
        case "next":
          replies.sendPiece();
          break;
        case "done":
          outcome.resolve(decodeOpaque(data.dump));
          break;
        case "failed":
          outcome.reject(failure(session, server, data));
      }
    };
    worker.onerror = (event) => {
      event.preventDefault(); // otherwise it would end the process
      outcome.reject(
        failure(session, server, { message: event.message, missingPermission: false }),
      );
    };
    worker.postMessage(job);
    return await outcome.promise;
  } finally {
    signal?.removeEventListener("abort", abort);
    worker.terminate();
  }
}

function startWorker(): Worker {
  const source = new Blob([`(${dumpWorker})()`], { type: "text/javascript" });
  const url = URL.createObjectURL(source);
  try {
    return new Worker(url, { type: "module", name: "pg_dump" });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Passes replies to the blocked worker, in pieces that fit the shared memory. */
class ReplyChannel {
  readonly #control: Int32Array;
  readonly #buffer: Uint8Array;
  #rest: Uint8Array = new Uint8Array(0);

  constructor({ control, buffer }: DumpJob) {
    this.#control = new Int32Array(control);
    this.#buffer = new Uint8Array(buffer);
  }

  send(reply: Uint8Array): void {
    Atomics.store(this.#control, signals.replyBytes, reply.length);
    this.#rest = reply;
    this.sendPiece();
  }

  sendPiece(): void {
    const piece = this.#rest.subarray(0, this.#buffer.length);
    this.#rest = this.#rest.subarray(piece.length);
    this.#buffer.set(piece);
    Atomics.store(this.#control, signals.pieceBytes, piece.length);
    Atomics.store(this.#control, signals.ready, 1);
    Atomics.notify(this.#control, signals.ready);
  }
}

function failure(
  session: Session,
  server: PgServerShim,
  { message, missingPermission }: {
    readonly message: string;
    readonly missingPermission: boolean;
  },
): Error {
  const { side, endpoint } = session;
  if (server.lastError !== undefined) {
    return new ServerError(server.lastError, { side, object: endpoint.database });
  }
  return new ReplicatorError("the embedded pg_dump failed", {
    side,
    object: endpoint.database,
    details: outputLines(message),
    remedy: missingPermission
      ? "allow reading Deno's npm cache (--allow-read), or install pg_dump and add it to the PATH"
      : "install a pg_dump at least as new as both servers and add it to the PATH",
    exitCode: missingPermission ? ExitCode.prerequisite : ExitCode.stepFailed,
    cause: new Error(redact(message)),
  });
}

/**
 * pg_dump's messages: splits the lines that the wrapper joined, and drops the complaint that the
 * program does not find its own file.
 */
function outputLines(message: string): readonly string[] {
  return redact(message)
    .replace(/invalid binary "[^"]*": No such file or directory/g, "")
    .replace(/(?<=\S)\s*(?=pg_dump: )/g, "\n")
    .split("\n")
    .filter((line) => line.trim() !== "");
}
