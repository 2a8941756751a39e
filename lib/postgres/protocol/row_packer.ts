import { FrameScanner } from "./frames.ts";
import { checkHeader } from "./message_limits.ts";
import { rowPackerProgram } from "./row_packer_program.ts";

/** The type byte and the length. */
const headerBytes = 5;
/** Where a chunk goes: after room for a partial header and for one that continues a frame. */
const areaStart = 64;

/**
 * Maximum length of forwarded frames, unless a single row is longer. Measured with rows of 100
 * bytes: 8 KB saves the target half as much as 32 KB, 64 KB no more than 32 KB.
 */
const packedBytes = 32 * 1024;

/** Receives what the packer finds. Views are valid until the next chunk is pushed. */
export interface PackerHandler {
  /** Whole CopyData frames with headers; same contents as received, different boundaries. */
  readonly rows: (frames: Uint8Array) => void;
  /** Any other whole frame; `body` is what follows the length. Valid during the call only. */
  readonly message: (type: number, body: Uint8Array) => void;
  /** Called with the header of each message, see `FrameHandler`. */
  readonly header?: (type: number, length: number) => void;
}

/** What `row_packer.wat` exports. */
interface Program {
  readonly memory: WebAssembly.Memory;
  readonly packedEnd: WebAssembly.Global;
  readonly restStart: WebAssembly.Global;
  pack(from: number, end: number, limit: number): number;
  /** Discards a partial frame. */
  reset(): void;
}

const compiled = new WebAssembly.Module(Uint8Array.fromBase64(rowPackerProgram));

/**
 * Programs for reuse. Each reserves 8 GB of address space until it is garbage-collected, and a
 * process has room for about 16,000.
 */
const idle: Program[] = [];

function takeProgram(): Program {
  const program = idle.pop() ??
    new WebAssembly.Instance(compiled).exports as unknown as Program;
  program.reset();
  return program;
}

/**
 * Splits a server's COPY output into rows and messages, and combines rows into fewer CopyData
 * frames, which are cheaper for the receiving server (see `row_packer.wat`).
 *
 * Rows are never buffered: the received part of a row is forwarded as a frame of its own, so a row
 * of a gigabyte takes no memory here, and none on the receiving server beyond what COPY needs.
 * Chunks may end anywhere.
 */
export class RowPacker {
  readonly #handler: PackerHandler;
  readonly #messages: FrameScanner;
  readonly #program = takeProgram();
  readonly #memory = new Uint8Array(this.#program.memory.buffer);
  readonly #view = new DataView(this.#program.memory.buffer);
  /** The partial header at the end of a chunk. */
  #partialHeader: Uint8Array = new Uint8Array(0);
  /** Bytes of a message still to come. */
  #messageRemaining = 0;

  constructor(handler: PackerHandler) {
    this.#handler = handler;
    this.#messages = new FrameScanner(handler);
  }

  /** Takes the next chunk of the stream, at most a megabyte. */
  push(chunk: Uint8Array): void {
    const end = areaStart + chunk.length;
    const message = chunk.subarray(0, this.#messageRemaining);
    this.#pass(message);
    let at = areaStart + message.length - this.#partialHeader.length;
    this.#memory.set(this.#partialHeader, at);
    this.#memory.set(chunk, areaStart);
    while (true) {
      const start = this.#program.pack(at, end, packedBytes);
      const packedEnd = this.#program.packedEnd.value;
      if (packedEnd > start) this.#handler.rows(this.#memory.subarray(start, packedEnd));
      at = this.#program.restStart.value;
      if (end - at < headerBytes) break;
      const length = this.#view.getUint32(at + 1);
      checkHeader(this.#memory[at] ?? 0, length); // also of a row that the program did not pack
      const size = 1 + length;
      this.#messageRemaining = size;
      const available = this.#memory.subarray(at, Math.min(at + size, end));
      this.#pass(available);
      at += available.length;
    }
    this.#partialHeader = this.#memory.slice(at, end);
  }

  /**
   * Releases the program for reuse: views handed out must no longer be in use.
   */
  [Symbol.dispose](): void {
    idle.push(this.#program);
  }

  #pass(message: Uint8Array): void {
    if (message.length === 0) return;
    this.#messageRemaining -= message.length;
    this.#messages.push(message);
  }
}
