import { FrameScanner } from "./frames.ts";
import { checkHeader } from "./message_limits.ts";
import { rowPackerProgram } from "./row_packer_program.ts";

/** The type byte and the length. */
const headerBytes = 5;
/** Where a piece is put: behind room for a header that was cut, and one that continues a frame. */
const areaStart = 64;

/**
 * Frames sent on get no longer than this, unless one row is. Measured with rows of 100 bytes: 8 KB
 * saves the target half of what 32 KB does, 64 KB no more than that.
 */
const packedBytes = 32 * 1024;

/** Where the packer hands what it finds. Views are valid until the next piece is pushed. */
export interface PackerHandler {
  /** Whole CopyData frames, headers included; their content is what came, their borders are not. */
  readonly rows: (frames: Uint8Array) => void;
  /** Any other frame, whole; `body` is what follows the length. Valid during the call only. */
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
  /** Forgets a frame whose rest is awaited. */
  reset(): void;
}

const compiled = new WebAssembly.Module(Uint8Array.fromBase64(rowPackerProgram));

/**
 * Programs that nobody uses. One for each copy would not do: each reserves 8 GB of addresses until
 * garbage is collected, and a process has room for about 16,000.
 */
const idle: Program[] = [];

function takeProgram(): Program {
  const program = idle.pop() ??
    new WebAssembly.Instance(compiled).exports as unknown as Program;
  program.reset();
  return program;
}

/**
 * Cuts what a server sends during COPY into rows and messages, and puts rows together into few
 * CopyData frames, for the sake of the server that receives them (see `row_packer.wat`).
 *
 * A row is never gathered: what has come of it is passed on as a frame of its own, so a row of a
 * gigabyte needs no memory here, and none on the receiving server beyond what COPY itself takes.
 * The stream may be cut anywhere.
 */
export class RowPacker {
  readonly #handler: PackerHandler;
  readonly #messages: FrameScanner;
  readonly #program = takeProgram();
  readonly #memory = new Uint8Array(this.#program.memory.buffer);
  readonly #view = new DataView(this.#program.memory.buffer);
  /** A header that was cut by the end of a piece. */
  #cut: Uint8Array = new Uint8Array(0);
  /** Bytes of a message that are yet to come. */
  #messageRemaining = 0;

  constructor(handler: PackerHandler) {
    this.#handler = handler;
    this.#messages = new FrameScanner(handler);
  }

  /** Takes the next piece of the stream, at most a megabyte. */
  push(piece: Uint8Array): void {
    const end = areaStart + piece.length;
    const message = piece.subarray(0, this.#messageRemaining);
    this.#gather(message);
    let at = areaStart + message.length - this.#cut.length;
    this.#memory.set(this.#cut, at);
    this.#memory.set(piece, areaStart);
    while (true) {
      const start = this.#program.pack(at, end, packedBytes);
      const packedEnd = this.#program.packedEnd.value;
      if (packedEnd > start) this.#handler.rows(this.#memory.subarray(start, packedEnd));
      at = this.#program.restStart.value;
      if (end - at < headerBytes) break;
      const length = this.#view.getUint32(at + 1);
      checkHeader(this.#memory[at] ?? 0, length); // a row's too, when the program has left it
      const size = 1 + length;
      this.#messageRemaining = size;
      const there = this.#memory.subarray(at, Math.min(at + size, end));
      this.#gather(there);
      at += there.length;
    }
    this.#cut = this.#memory.slice(at, end);
  }

  /**
   * Gives the program back, for the next packer: nothing that was handed out may be in use any
   * more.
   */
  [Symbol.dispose](): void {
    idle.push(this.#program);
  }

  #gather(message: Uint8Array): void {
    if (message.length === 0) return;
    this.#messageRemaining -= message.length;
    this.#messages.push(message);
  }
}
