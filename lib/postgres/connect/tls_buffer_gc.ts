/**
 * Keeps memory flat where many sessions use TLS at once.
 *
 * TLS puts every piece that it passes on into three new buffers. They are outside the engine's
 * heap, so it sees little reason to collect them: when eight jobs start at once, 130 MB are
 * waiting. On request, the engine collects only young objects, which finds nearly all of them.
 *
 * This requires that the host program exposes the collector (V8's `--expose-gc`, as `cli.ts` does).
 * Otherwise the engine decides when to collect; memory then stays flat too, at a higher level.
 *
 * @module
 */
import { runInNewContext } from "node:vm";

/**
 * With fewer connections, nothing is collected: a collection takes 10 ms or more, which would slow
 * a single table over TLS by a tenth.
 */
const minConnections = 16;
/** Growth of the buffers since the last collection that calls for one. */
const maxGrowthBytes = 48 * 1024 * 1024;
/** Bytes from the network between two checks. */
const checkEveryBytes = 1024 * 1024;

let connections = 0;
let bytesSinceCheck = 0;
let floorBytes = Infinity;
let collect: (() => void) | undefined;

/** The buffers that one connection leaves behind. */
export class TlsBufferGc implements Disposable {
  #disposed = false;

  constructor() {
    connections++;
  }

  /** Counts bytes received into buffers that will soon be garbage. */
  count(bytes: number): void {
    bytesSinceCheck += bytes;
    if (bytesSinceCheck < checkEveryBytes || connections < minConnections) return;
    bytesSinceCheck = 0;
    const { external } = Deno.memoryUsage();
    floorBytes = Math.min(floorBytes, external);
    if (external - floorBytes < maxGrowthBytes) return;
    collect ??= findCollector();
    collect();
    floorBytes = Deno.memoryUsage().external;
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    connections--;
  }
}

function findCollector(): () => void {
  try {
    const gc: unknown = runInNewContext("gc"); // flags apply to contexts made after they were set
    if (typeof gc === "function") return () => void gc({ type: "minor" });
  } catch {
    // not exposed
  }
  return () => {};
}
