/**
 * The Web Worker of the embedded pg_dump.
 *
 * @module
 */

/** Sent to the worker to start it. */
export interface DumpJob {
  /** Specifier of the module with `pgDump`. */
  readonly module: string;
  /** Arguments of pg_dump. */
  readonly args: readonly string[];
  /** Signals between the threads, see {@linkcode signal}. */
  readonly control: SharedArrayBuffer;
  /** Carries the replies, piece by piece. */
  readonly buffer: SharedArrayBuffer;
}

/** Indexes into {@linkcode DumpJob.control}, an `Int32Array`. */
export const signal = {
  /** 1 while the buffer contains an unread piece. */
  ready: 0,
  /** Bytes of that piece. */
  pieceBytes: 1,
  /** Bytes of the whole reply. */
  replyBytes: 2,
} as const;

/** Messages from the worker to the main thread. */
export type WorkerMessage =
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  | { readonly kind: "next" }
  | { readonly kind: "done"; readonly dump: Uint8Array }
  | { readonly kind: "failed"; readonly message: string; readonly missingPermission: boolean };

/**
 * The worker's program. The worker runs its **source text**, so that bundles, executables and
 * remote modules need no second file: it must not refer to anything outside itself, nor import a
 * literal specifier, which a bundler would include.
 *
 * pg_dump is synchronous C: whenever it has written to its "server", this thread blocks until the
 * main thread has put the reply into shared memory.
 */
export function dumpWorker(): void {
  const scope = globalThis as unknown as {
    process: { argv: string[] };
    onmessage: (event: { data: DumpJob }) => void;
    postMessage: (message: WorkerMessage) => void;
  };
  scope.onmessage = async ({ data: job }) => {
    const control = new Int32Array(job.control);
    const buffer = new Uint8Array(job.buffer);

    /**
     * Blocks until a piece arrives. A wake-up may belong to an earlier piece that it did not have
     * to wait for.
     */
    const piece = () => {
      while (Atomics.load(control, 0) === 0) Atomics.wait(control, 0, 0);
      const bytes = buffer.slice(0, Atomics.load(control, 1));
      Atomics.store(control, 0, 0);
      return bytes;
    };
    const server = {
      // the wrapper restores the session's search_path afterwards; here the session is closed
      query: () => Promise.resolve({ rows: [{ search_path: "" }] }),
      exec: () => Promise.resolve([]),
      execProtocolRawStream: (
        bytes: Uint8Array,
        { onRawData }: { onRawData: (bytes: Uint8Array) => void },
      ) => {
        scope.postMessage({ kind: "send", bytes: bytes.slice() });
        const first = piece();
        const reply = new Uint8Array(Atomics.load(control, 2));
        reply.set(first);
        for (let filled = first.length; filled < reply.length;) {
          scope.postMessage({ kind: "next" });
          const more = piece();
          reply.set(more, filled);
          filled += more.length;
        }
        if (reply.length > 0) onRawData(reply);
      },
    };
    try {
      scope.process.argv[1] = "pg_dump"; // its name in messages
      const { pgDump } = await import(job.module);
      // the wrapper decodes the dump as UTF-8, which it may not be: keep the bytes
      let read: { readonly bytes: Uint8Array; readonly text: string } | undefined;
      let dump: Uint8Array | undefined;
      const decode = TextDecoder.prototype.decode;
      Object.defineProperty(TextDecoder.prototype, "decode", {
        value: function (this: TextDecoder, bytes?: Uint8Array, ...options: []) {
          const text = decode.call(this, bytes, ...options);
          if (bytes instanceof Uint8Array) read = { bytes, text };
          return text;
        },
      });
      // the wrapper drops every line that begins with \\restrict, even inside function bodies and
      // comments; here that is disabled, and the dump reader drops those that are commands
      const replace = String.prototype.replace as (this: string, ...args: unknown[]) => string;
      Object.defineProperty(String.prototype, "replace", {
        value: function (this: string, pattern: unknown, by: unknown) {
          const prunes = pattern instanceof RegExp && pattern.source.includes("restrict");
          if (!prunes) return replace.call(this, pattern, by);
          if (read?.text === String(this)) dump = read.bytes.slice();
          return String(this);
        },
      });
      const file = await pgDump({ pg: server, args: [...job.args] });
      scope.postMessage({
        kind: "done",
        dump: dump ?? new TextEncoder().encode(await file.text()),
      });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const missingPermission = message.includes("NotCapable");
      scope.postMessage({ kind: "failed", message, missingPermission });
    }
  };
}
