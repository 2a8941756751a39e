/**
 * The embedded pg_dump's thread and the main one: whatever the order in which they get on, each
 * question gets its own answer.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  type DumpJob,
  dumpWorker,
  signal,
  type WorkerMessage,
} from "../../lib/schema/embedded_dump_worker.ts";

/** Stands in for pg_dump: asks as often as it is told to, and prints what it has heard. */
const asking = `data:text/javascript,${
  encodeURIComponent(`
    export async function pgDump({ pg, args: [times] }) {
      const heard = [];
      for (let i = 0; i < Number(times); i++) {
        pg.execProtocolRawStream(new Uint8Array([i]), {
          onRawData: (bytes) => heard.push([...bytes].join(" ")),
        });
      }
      return new File([heard.join(",")], "dump.sql");
    }`)
}`;

Deno.test("an answer is waited for although the word about the one before comes late", async () => {
  const times = 6;
  const source = new Blob([`(${dumpWorker})()`], { type: "text/javascript" });
  const url = URL.createObjectURL(source);
  const worker = new Worker(url, { type: "module" });
  URL.revokeObjectURL(url);
  try {
    const control = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
    const buffer = new Uint8Array(new SharedArrayBuffer(16));
    const answers = Array.from(
      { length: times },
      (_, i) => Uint8Array.from({ length: times - i }, () => i),
    );
    const done = Promise.withResolvers<string>();
    const asked: number[] = [];
    const give = (answer: Uint8Array) => {
      Atomics.store(control, signal.replyBytes, answer.length);
      buffer.set(answer);
      Atomics.store(control, signal.pieceBytes, answer.length);
      Atomics.store(control, signal.ready, 1);
      Atomics.notify(control, signal.ready);
    };
    worker.onmessage = async ({ data }: MessageEvent<WorkerMessage>) => {
      if (data.kind === "done") return done.resolve(new TextDecoder().decode(data.dump));
      if (data.kind === "failed") return done.reject(new Error(data.message));
      if (data.kind !== "send") return;
      const [number = -1] = data.bytes;
      asked.push(number);
      // as if the main thread had been stopped between putting the last answer there and saying so
      for (let word = 0; word < 3; word++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        Atomics.notify(control, signal.ready);
      }
      give(answers[number]!);
    };
    const job: DumpJob = {
      module: asking,
      args: [String(times)],
      control: control.buffer as SharedArrayBuffer,
      buffer: buffer.buffer as SharedArrayBuffer,
    };
    worker.postMessage(job);
    strictEqual(await done.promise, answers.map((answer) => answer.join(" ")).join(","));
    deepStrictEqual(asked, answers.map((_, i) => i));
  } finally {
    worker.terminate();
  }
});
