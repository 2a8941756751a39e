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

/** Where the body of a frame is. */
export interface FramePlace {
  /** Starts where its buffer starts. */
  readonly view: DataView<ArrayBuffer>;
  readonly start: number;
  readonly end: number;
}

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

/** Receives frames where they are, see {@linkcode FrameScanner.inPlace}. */
export interface PlaceHandler {
  /** The place is valid during the call; its bytes stay as they are. */
  readonly place: (type: number, place: FramePlace) => void;
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
  readonly #places: PlaceHandler | undefined;
  /** Reused for each frame. */
  readonly #place = { view: new DataView(new ArrayBuffer(0)), start: 0, end: 0 };
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

  constructor(handler: FrameHandler, places?: PlaceHandler) {
    this.#handler = handler;
    this.#places = places;
  }

  /**
   * A scanner for many small frames, whose handler keeps their bytes: they are neither copied nor
   * given a view of their own.
   */
  static inPlace(handler: PlaceHandler): FrameScanner {
    return new FrameScanner({ message: () => {} }, handler);
  }

  /** True between frames. */
  get atBoundary(): boolean {
    return this.#filled === 0 && this.#toSkip === 0;
  }

  /**
   * Takes the next chunk of the stream; a handler of places keeps it.
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
          this.#handOut(chunk, { at, size, own: false });
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
    const length = readLength(bytes, at + 1);
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
    const [buffer, size] = [this.#buffer, this.#filled];
    this.#filled = 0;
    const own = buffer.length > initialBytes || this.#places !== undefined;
    if (own) this.#buffer = new Uint8Array(initialBytes);
    this.#handOut(buffer, { at: 0, size, own });
  }

  #handOut(
    bytes: Uint8Array,
    { at, size, own }: { readonly at: number; readonly size: number; readonly own: boolean },
  ): void {
    const type = bytes[at] ?? 0;
    if (type === frame.ready) this.#skipped = 0;
    if (this.#places === undefined) {
      const whole = bytes.subarray(at, at + size);
      return this.#handler.message(type, whole.subarray(headerBytes), { whole, own });
    }
    const place = this.#place;
    if (place.view.buffer !== bytes.buffer) place.view = new DataView(bytes.buffer as ArrayBuffer);
    place.start = bytes.byteOffset + at + headerBytes;
    place.end = bytes.byteOffset + at + size;
    this.#places.place(type, place);
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

/** Without a view, which costs more than the rest of a header. */
function readLength(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 |
    (bytes[at + 3] ?? 0)) >>> 0;
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
