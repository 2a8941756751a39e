/**
 * A buffer that grows as bytes are appended.
 *
 * @module
 */

const firstBytes = 64 * 1024;
/** A larger buffer is not used again. */
const keptBytes = 8 * 1024 * 1024;
/** Buffers to be used again. */
const maxSpare = 4;
const encoder = new TextEncoder();

/** Appends numbers in network byte order, text and bytes. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(firstBytes);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];

  /** Bytes appended so far. */
  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  int16(value: number): void {
    this.#reserve(2);
    this.#view.setInt16(this.#length, value);
    this.#length += 2;
  }

  int32(value: number): void {
    this.#reserve(4);
    this.#view.setInt32(this.#length, value);
    this.#length += 4;
  }

  /** An OID, which uses all 32 bits. */
  uint32(value: number): void {
    this.int32(value | 0);
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Text with a terminating zero. */
  string(value: string): void {
    this.bytes(encoder.encode(value));
    this.byte(0);
  }

  /**
   * Appends a value, with an escape in the place of each byte that needs one.
   *
   * @param place where it is in the buffer, and how long
   * @param escapes by byte: what follows a backslash in its place; 0 for a byte that stays
   */
  escaped(
    value: DataView,
    { start, length }: { readonly start: number; readonly length: number },
    escapes: Uint8Array,
  ): void {
    this.#reserve(2 * length);
    const target = this.#bytes;
    let at = this.#length;
    for (let index = start; index < start + length; index++) {
      const byte = value.getUint8(index);
      const escape = escapes[byte] as number;
      if (escape === 0) target[at++] = byte;
      else {
        target[at++] = 0x5c;
        target[at++] = escape;
      }
    }
    this.#length = at;
  }

  /**
   * Leaves room for a length, to be set by {@linkcode closeLength} or {@linkcode closeValueLength}.
   */
  openLength(): number {
    this.int32(0);
    return this.#length - 4;
  }

  /** Sets the length at a position: bytes since then, including itself. */
  closeLength(at: number): void {
    this.#view.setInt32(at, this.#length - at);
  }

  /** Sets the length at a position: bytes since then, excluding itself. */
  closeValueLength(at: number): void {
    this.#view.setInt32(at, this.#length - at - 4);
  }

  /** Returns everything appended, and starts over in another buffer. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    this.#use(this.#spare.pop() ?? new Uint8Array(firstBytes));
    return taken;
  }

  /** Takes back the buffer of bytes that are no longer needed. */
  recycle({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength <= keptBytes && this.#spare.length < maxSpare) {
      this.#spare.push(new Uint8Array(buffer));
    }
  }

  #use(bytes: Uint8Array<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#use(grown);
  }
}
