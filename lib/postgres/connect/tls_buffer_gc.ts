/**
 * Keeps memory flat where many sessions use TLS at once.
 *
 * TLS puts every piece that it passes on into three new buffers. They are not in the engine's heap,
 * so it sees little reason to hurry with them: when eight jobs begin at once, 130 MB wait to be
 * collected. Asked for it, the engine collects young objects alone and finds nearly all of them.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Fewer connections have room: a collection takes 10 ms and more, which one table over TLS would
 * feel (a tenth of its time).
 */
const fewConnections = 16;
/** So many bytes of buffers more than after the last collection call for one. */
const maxGrowth = 48 * 1024 * 1024;
/** Bytes from the network between two looks. */
const checkEveryBytes = 1024 * 1024;

let connections = 0;
let bytesSince = 0;
let floor = Infinity;
let collect: (() => void) | undefined;

/** What one connection leaves behind. */
export class TlsBufferGc implements Disposable {
  #closed = false;

  constructor() {
    connections++;
  }

  /**
   * Tells of bytes that have come, and are in buffers that nobody will use any more before long.
   */
  left(bytes: number): void {
    bytesSince += bytes;
    if (bytesSince < checkEveryBytes || connections < fewConnections) return;
    bytesSince = 0;
    const { external } = Deno.memoryUsage();
    floor = Math.min(floor, external);
    if (external - floor < maxGrowth) return;
    collect ??= findCollector();
    collect();
    floor = Deno.memoryUsage().external;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    connections--;
  }
}

/**
 * An engine that does not let itself be asked goes on as it likes: memory is flat then too, only
 * higher.
 */
function findCollector(): () => void {
  try {
    setFlagsFromString("--expose-gc");
    const found: unknown = runInNewContext("gc");
    if (typeof found === "function") return () => void found({ type: "minor" });
  } catch {
    // such an engine
  }
  return () => {};
}
