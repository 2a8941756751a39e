import { FrameScanner } from "./frames.ts";
import { rowPackerProgram } from "./row_packer_program.ts";

/** The type byte and the length. */
const headerBytes = 5;
/** Before each area: for a header that was cut, and one that continues a frame. */
const headroomBytes = 64;
const areaBytes = 1024 * 1024;

/**
 * Frames sent on get no longer than this, unless one row is. Measured with rows of 100 bytes: 8 KB saves the target half of what 32 KB
 * does, 64 KB no more than that.
 */
const packedBytes = 32 * 1024;

/** Where the packer hands what it finds. Views are valid until the next piece is pushed. */
export interface PackerHandler {
  /** Whole CopyData frames, headers included; their content is what came, their borders are not. */
  readonly rows: (frames: Uint8Array) => void;
  /** Any other frame, whole; `body` is what follows the length. Valid during the call only. */
  readonly message: (type: number, body: Uint8Array) => void;
}

/** What `row_packer.wat` exports. */
interface Program {
  readonly memory: WebAssembly.Memory;
  readonly packedEnd: WebAssembly.Global;
  readonly restStart: WebAssembly.Global;
  pack(from: number, end: number, limit: number): number;
}

const compiled = new WebAssembly.Module(Uint8Array.fromBase64(rowPackerProgram));

/**
 * Cuts what a server sends during COPY into rows and messages, and puts rows together into few CopyData frames, for the sake of the
 * server that receives them (see `row_packer.wat`).
 *
 * A row is never gathered: what has come of it is passed on as a frame of its own, so a row of a gigabyte needs no memory here, and none
 * on the receiving server beyond what COPY itself takes. The stream may be cut anywhere.
 */
export class RowPacker {
  readonly #handler: PackerHandler;
  readonly #messages: FrameScanner;
  readonly #program = new WebAssembly.Instance(compiled).exports as unknown as Program;
  readonly #memory = new Uint8Array(this.#program.memory.buffer);
  readonly #view = new DataView(this.#program.memory.buffer);
  /** A header that was cut by the end of a piece. */
  #cut: Uint8Array = new Uint8Array(0);
  /** Bytes of a message that are yet to come. */
  #messageRemaining = 0;
  readonly #areas: readonly [Uint8Array, Uint8Array] = [this.#area(0), this.#area(1)];
  /** Which of them holds the last piece. */
  #latest: 0 | 1 = 1;

  constructor(handler: PackerHandler) {
    this.#handler = handler;
    this.#messages = new FrameScanner({ message: handler.message });
  }

  /**
   * Where the next piece is best read to. It may be read while the frames of the last one are on their way, but is not to be pushed
   * before they have arrived.
   */
  get place(): Uint8Array {
    return this.#areas[this.#other];
  }

  /** Takes the next piece of the stream, at most a megabyte. One that was not read to {@linkcode place} is copied there. */
  push(piece: Uint8Array): void {
    const { place } = this;
    this.#latest = this.#other;
    if (piece.buffer === place.buffer) return this.#push(piece);
    place.set(piece);
    this.#push(place.subarray(0, piece.length));
  }

  get #other(): 0 | 1 {
    return this.#latest === 0 ? 1 : 0;
  }

  #area(index: number): Uint8Array {
    const start = headroomBytes + index * (headroomBytes + areaBytes);
    return this.#memory.subarray(start, start + areaBytes);
  }

  #push(piece: Uint8Array): void {
    const end = piece.byteOffset + piece.length;
    const message = piece.subarray(0, this.#messageRemaining);
    this.#gather(message);
    let at = piece.byteOffset + message.length - this.#cut.length;
    this.#memory.set(this.#cut, at);
    while (true) {
      const start = this.#program.pack(at, end, packedBytes);
      const packedEnd = this.#program.packedEnd.value;
      if (packedEnd > start) this.#handler.rows(this.#memory.subarray(start, packedEnd));
      at = this.#program.restStart.value;
      if (end - at < headerBytes) break;
      const size = 1 + this.#view.getUint32(at + 1);
      this.#messageRemaining = size;
      const there = this.#memory.subarray(at, Math.min(at + size, end));
      this.#gather(there);
      at += there.length;
    }
    this.#cut = this.#memory.slice(at, end);
  }

  #gather(message: Uint8Array): void {
    if (message.length === 0) return;
    this.#messageRemaining -= message.length;
    this.#messages.push(message);
  }
}
