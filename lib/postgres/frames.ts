/**
 * Messages of the frontend/backend protocol: a type byte, a length, a body.
 *
 * Source: PostgreSQL documentation, "54.7. Message Formats".
 *
 * @module
 */

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
  query: 0x51, // Q
  ready: 0x5a, // Z
} as const;

const headerBytes = 5;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Where the scanner hands what it finds. */
export interface FrameHandler {
  /** A frame, whole; `body` is what follows the length. Views are valid during the call only. */
  readonly message: (type: number, body: Uint8Array) => void;
}

/** Cuts a stream of bytes into frames. A frame may be cut anywhere, its header included; it is gathered until it is whole. */
export class FrameScanner {
  readonly #handler: FrameHandler;
  /** The frame that is being gathered across chunks. */
  #gathered: Uint8Array = nothing;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** True between frames. */
  get atBoundary(): boolean {
    return this.#gathered.length === 0;
  }

  /** Takes the next piece of the stream. */
  push(chunk: Uint8Array): void {
    if (this.#gathered.length > 0) chunk = join(this.#gathered, chunk);
    this.#gathered = nothing;
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let at = 0;
    while (at + headerBytes <= chunk.length) {
      const end = at + 1 + view.getUint32(at + 1);
      if (end > chunk.length) break;
      this.#handler.message(view.getUint8(at), chunk.subarray(at + headerBytes, end));
      at = end;
    }
    if (at < chunk.length) this.#gathered = chunk.slice(at);
  }
}

const nothing = new Uint8Array(0);

function join(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

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

/** The fields of an ErrorResponse body by their letter ("54.8. Error and Notice Message Fields"). */
export function decodeErrorFields(body: Uint8Array): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const field of decoder.decode(body).split("\0")) {
    if (field !== "") fields.set(field.charAt(0), field.slice(1));
  }
  return fields;
}
