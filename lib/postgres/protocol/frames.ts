/**
 * Messages of the frontend/backend protocol: a type byte, a length, a body.
 *
 * Source: PostgreSQL documentation, "54.7. Message Formats".
 *
 * @module
 */
import { asynchronousBytes, checkHeader, isAsynchronous, ProtocolError } from "./message_limits.ts";

/** Type bytes of the messages handled here. */
export const frame = {
  bind: 0x42, // B
  copyBoth: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  copyIn: 0x47, // G
  copyOut: 0x48, // H
  commandComplete: 0x43, // C
  error: 0x45, // E
  execute: 0x45, // E
  keyData: 0x4b, // K
  authentication: 0x52, // R
  noData: 0x6e, // n
  parameterDescription: 0x74, // t
  parse: 0x50, // P
  password: 0x70, // p
  query: 0x51, // Q
  ready: 0x5a, // Z
  row: 0x44, // D
  rowDescription: 0x54, // T
  sync: 0x53, // S
} as const;

const headerBytes = 5;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Receives what the scanner finds. */
export interface FrameHandler {
  /**
   * A whole frame; `body` is what follows the length. Views are valid during the call only, unless
   * `own` says that the handler may keep them.
   *
   * Notices, notifications and parameter changes are skipped: nothing here needs them, and a server
   * may send any number.
   */
  readonly message: (
    type: number,
    body: Uint8Array,
    frame: { readonly whole: Uint8Array; readonly own: boolean },
  ) => void;
  /**
   * Called with each header, before any of the body is buffered.
   *
   * @param length the length word, which counts itself
   * @throws when the message is not allowed
   */
  readonly header?: (type: number, length: number) => void;
}

/**
 * Splits a stream of bytes into frames. Chunks may end anywhere, even within a header; a frame is
 * buffered until it is complete.
 *
 * Announced lengths are checked first (see `message_limits.ts`), and memory is allocated only for
 * bytes received.
 */
export class FrameScanner {
  readonly #handler: FrameHandler;
  /**
   * The start of a frame that spans chunks; longer than {@linkcode #filled}.
   */
  #buffer: Uint8Array = new Uint8Array(initialBytes);
  #filled = 0;
  /** Length of the buffered frame; that of a header until the header is complete. */
  #size = headerBytes;
  /** Bytes still to come of a message that is skipped. */
  #toSkip = 0;
  /** Bytes skipped since the last ReadyForQuery. */
  #skipped = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** True between frames. */
  get atBoundary(): boolean {
    return this.#filled === 0 && this.#toSkip === 0;
  }

  /**
   * Takes the next chunk of the stream.
   *
   * @throws ProtocolError when it violates the protocol
   */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#toSkip > 0) {
        const skipped = Math.min(this.#toSkip, chunk.length - at);
        this.#toSkip -= skipped;
        at += skipped;
      } else if (this.#filled > 0) at += this.#append(chunk.subarray(at));
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
   * Checks a header; returns the length of the whole frame, or undefined when it is skipped.
   */
  #open(bytes: Uint8Array, at: number): number | undefined {
    const type = bytes[at] ?? 0;
    const length = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 4).getUint32(0);
    checkHeader(type, length);
    if (!isAsynchronous(type)) {
      this.#handler.header?.(type, length);
      return 1 + length;
    }
    this.#toSkip = length - 4;
    this.#skipped += Math.max(minSkippedBytes, length);
    if (this.#skipped > asynchronousBytes) {
      throw new ProtocolError("it sent more than 256 MB of notices and nothing else");
    }
    return undefined;
  }

  #begin(size: number, bytes: Uint8Array): number {
    this.#size = size;
    return this.#append(bytes);
  }

  /** Adds to the buffered frame; returns how many bytes it took. */
  #append(bytes: Uint8Array): number {
    const taken = Math.min(this.#size - this.#filled, bytes.length);
    this.#reserve(this.#filled + taken);
    this.#buffer.set(bytes.subarray(0, taken), this.#filled);
    this.#filled += taken;
    if (this.#filled < this.#size) return taken;
    if (this.#size === headerBytes) {
      const size = this.#open(this.#buffer, 0);
      if (size === undefined) this.#filled = 0;
      else if (size > headerBytes) this.#size = size;
      else this.#finish();
    } else this.#finish();
    return taken;
  }

  #finish(): void {
    const whole = this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    const own = this.#buffer.length > initialBytes;
    if (own) this.#buffer = new Uint8Array(initialBytes);
    this.#handOut(whole, own);
  }

  #handOut(whole: Uint8Array, own: boolean): void {
    const type = whole[0] ?? 0;
    if (type === frame.ready) this.#skipped = 0;
    this.#handler.message(type, whole.subarray(headerBytes), { whole, own });
  }

  /** Grows by doubling, up to the frame's length: bytes only announced take no memory. */
  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const grown = new Uint8Array(
      Math.max(bytes, Math.min(this.#size, 2 * this.#buffer.length)),
    );
    grown.set(this.#buffer.subarray(0, this.#filled));
    this.#buffer = grown;
  }
}

/** Minimum cost of a skipped message, which takes time if no memory. */
const minSkippedBytes = 100;

/** Buffer of each scanner for frames that span chunks; most are rows of a few hundred bytes. */
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
