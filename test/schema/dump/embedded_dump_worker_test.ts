/**
 * The worker of the embedded pg_dump and the main thread: in whatever order they run, each request
 * gets its own reply.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  type DumpJob,
  dumpWorker,
  signal,
  type WorkerMessage,
} from "../../../lib/schema/dump/embedded_dump_worker.ts";

/** Replaces pg_dump: sends a number of requests, and prints the replies. */
const fakeDump = `data:text/javascript,${
  encodeURIComponent(`
    export async function pgDump({ pg, args: [times] }) {
      const received = [];
      for (let i = 0; i < Number(times); i++) {
        pg.execProtocolRawStream(new Uint8Array([i]), {
          onRawData: (bytes) => received.push([...bytes].join(" ")),
        });
      }
      return new File([received.join(",")], "dump.sql");
    }`)
}`;

Deno.test("the worker waits for each reply even when the previous notification is late", async () => {
  const times = 6;
  const source = new Blob([`(${dumpWorker})()`], { type: "text/javascript" });
  const url = URL.createObjectURL(source);
  const worker = new Worker(url, { type: "module" });
  URL.revokeObjectURL(url);
  try {
    const control = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
    const buffer = new Uint8Array(new SharedArrayBuffer(16));
    const replies = Array.from(
      { length: times },
      (_, i) => Uint8Array.from({ length: times - i }, () => i),
    );
    const done = Promise.withResolvers<string>();
    const requested: number[] = [];
    const send = (reply: Uint8Array) => {
      Atomics.store(control, signal.replyBytes, reply.length);
      buffer.set(reply);
      Atomics.store(control, signal.pieceBytes, reply.length);
      Atomics.store(control, signal.ready, 1);
      Atomics.notify(control, signal.ready);
    };
    worker.onmessage = async ({ data }: MessageEvent<WorkerMessage>) => {
      if (data.kind === "done") return done.resolve(new TextDecoder().decode(data.dump));
      if (data.kind === "failed") return done.reject(new Error(data.message));
      if (data.kind !== "send") return;
      const [number = -1] = data.bytes;
      requested.push(number);
      // as if the main thread had been suspended between storing the last reply and notifying
      for (let count = 0; count < 3; count++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        Atomics.notify(control, signal.ready);
      }
      send(replies[number]!);
    };
    const job: DumpJob = {
      module: fakeDump,
      args: [String(times)],
      control: control.buffer as SharedArrayBuffer,
      buffer: buffer.buffer as SharedArrayBuffer,
    };
    worker.postMessage(job);
    strictEqual(await done.promise, replies.map((reply) => reply.join(" ")).join(","));
    deepStrictEqual(requested, replies.map((_, i) => i));
  } finally {
    worker.terminate();
  }
});
