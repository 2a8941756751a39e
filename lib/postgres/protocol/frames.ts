/**
 * Messages of the frontend/backend protocol: a type byte, a length, a body.
 *
 * Source: PostgreSQL documentation, "54.7. Message Formats".
 *
 * @module
 */
import { asynchronousBytes, checkHeader, isAsynchronous, ProtocolError } from "./message_limits.ts";

/** Type bytes of the messages that are looked at here. */
export const frame = {
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  copyIn: 0x47, // G
  copyOut: 0x48, // H
  commandComplete: 0x43, // C
  error: 0x45, // E
  keyData: 0x4b, // K
  authentication: 0x52, // R
  noData: 0x6e, // n
  parameterDescription: 0x74, // t
  password: 0x70, // p
  query: 0x51, // Q
  ready: 0x5a, // Z
  row: 0x44, // D
  rowDescription: 0x54, // T
} as const;

const headerBytes = 5;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Where the scanner hands what it finds. */
export interface FrameHandler {
  /**
   * A frame, whole; `body` is what follows the length. Views are valid during the call only, unless
   * `own` says that the handler may keep them.
   *
   * Notices, notifications and parameter changes are not handed out: nothing here needs them, and a
   * server may send any number.
   */
  readonly message: (
    type: number,
    body: Uint8Array,
    frame: { readonly whole: Uint8Array; readonly own: boolean },
  ) => void;
  /**
   * Called with each header, before anything of the body is kept.
   *
   * @param length the length word, which counts itself
   * @throws when the message may not come
   */
  readonly header?: (type: number, length: number) => void;
}

/**
 * Cuts a stream of bytes into frames. A frame may be cut anywhere, its header included; it is
 * gathered until it is whole.
 *
 * What the server announces is checked first (see `message_limits.ts`), and memory is only taken
 * for what has come.
 */
export class FrameScanner {
  readonly #handler: FrameHandler;
  /**
   * The beginning of a frame that is being gathered across chunks; longer than {@linkcode #filled}.
   */
  #gathered: Uint8Array = new Uint8Array(initialBytes);
  #filled = 0;
  /** Length of the frame that is being gathered; its header's while that has not come. */
  #size = headerBytes;
  /** Bytes of a message that is passed over which are yet to come. */
  #passing = 0;
  /** Bytes passed over since the last ReadyForQuery. */
  #passed = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** True between frames. */
  get atBoundary(): boolean {
    return this.#filled === 0 && this.#passing === 0;
  }

  /**
   * Takes the next piece of the stream.
   *
   * @throws ProtocolError when it is not what a server sends
   */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#passing > 0) {
        const passed = Math.min(this.#passing, chunk.length - at);
        this.#passing -= passed;
        at += passed;
      } else if (this.#filled > 0) at += this.#gather(chunk.subarray(at));
      else if (chunk.length - at < headerBytes) at += this.#begin(headerBytes, chunk.subarray(at));
      else {
        const size = this.#open(chunk, at);
        if (size === undefined) at += headerBytes;
        else if (size > chunk.length - at) at += this.#begin(size, chunk.subarray(at));
        else {
          this.#handOut(chunk.subarray(at, at + size), false);
          at += size;
        }
      }
    }
  }

  /**
   * Checks a header; gives the frame's length with it, or undefined when the frame is passed over.
   */
  #open(bytes: Uint8Array, at: number): number | undefined {
    const type = bytes[at] ?? 0;
    const length = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 4).getUint32(0);
    checkHeader(type, length);
    if (!isAsynchronous(type)) {
      this.#handler.header?.(type, length);
      return 1 + length;
    }
    this.#passing = length - 4;
    this.#passed += Math.max(minPassedBytes, length);
    if (this.#passed > asynchronousBytes) {
      throw new ProtocolError("it sent nothing but notices, more than 256 MB of them");
    }
    return undefined;
  }

  #begin(size: number, bytes: Uint8Array): number {
    this.#size = size;
    return this.#gather(bytes);
  }

  /** Adds to the frame that is being gathered; gives how many bytes it took. */
  #gather(bytes: Uint8Array): number {
    const taken = Math.min(this.#size - this.#filled, bytes.length);
    this.#reserve(this.#filled + taken);
    this.#gathered.set(bytes.subarray(0, taken), this.#filled);
    this.#filled += taken;
    if (this.#filled < this.#size) return taken;
    if (this.#size === headerBytes) {
      const size = this.#open(this.#gathered, 0);
      if (size === undefined) this.#filled = 0;
      else if (size > headerBytes) this.#size = size;
      else this.#finish();
    } else this.#finish();
    return taken;
  }

  #finish(): void {
    const whole = this.#gathered.subarray(0, this.#filled);
    this.#filled = 0;
    const own = this.#gathered.length > initialBytes;
    if (own) this.#gathered = new Uint8Array(initialBytes);
    this.#handOut(whole, own);
  }

  #handOut(whole: Uint8Array, own: boolean): void {
    const type = whole[0] ?? 0;
    if (type === frame.ready) this.#passed = 0;
    this.#handler.message(type, whole.subarray(headerBytes), { whole, own });
  }

  /** Grows by doubling, and no further than the frame: what is only announced takes no memory. */
  #reserve(bytes: number): void {
    if (bytes <= this.#gathered.length) return;
    const grown = new Uint8Array(
      Math.max(bytes, Math.min(this.#size, 2 * this.#gathered.length)),
    );
    grown.set(this.#gathered.subarray(0, this.#filled));
    this.#gathered = grown;
  }
}

/** What a short message that is passed over counts: it takes its time, if no memory. */
const minPassedBytes = 100;

/** Kept by each scanner for frames that are cut: most are rows of a few hundred bytes. */
const initialBytes = 4 * 1024;

/** A frontend message with a body. */
export function encodeFrame(type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes + body.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setInt32(1, 4 + body.length);
  bytes.set(body, headerBytes);
  return bytes;
}

/** A simple Query message. */
export function encodeQuery(statement: string): Uint8Array {
  return encodeFrame(frame.query, encoder.encode(`${statement}\0`));
}

/** The CopyDone message. */
export const copyDone = encodeFrame(frame.copyDone, new Uint8Array(0));

/** The CopyFail message; the server answers with an error that contains the reason. */
export function encodeCopyFail(reason: string): Uint8Array {
  return encodeFrame(frame.copyFail, encoder.encode(`${reason}\0`));
}

/** The command tag of a CommandComplete body: `COPY 42`. */
export function decodeTag(body: Uint8Array): string {
  return decoder.decode(body.subarray(0, -1));
}

/**
 * The fields of an ErrorResponse body by their letter ("54.8. Error and Notice Message Fields").
 */
export function decodeErrorFields(body: Uint8Array): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const field of decoder.decode(body).split("\0")) {
    if (field !== "") fields.set(field.charAt(0), field.slice(1));
  }
  return fields;
}
