/**
 * Copies of many small pieces of bytes in few buffers, which the garbage collector handles much
 * faster than a buffer for each.
 *
 * @module
 */

/** Pieces share buffers of this size. */
const sharedBytes = 256 * 1024;

/** Larger pieces have a buffer of their own, so that little space is left unused. */
const maxSharedPiece = 32 * 1024;

/** Where a piece is. */
export interface ArenaPiece {
  readonly view: DataView<ArrayBuffer>;
  readonly start: number;
  readonly end: number;
}

/** Buffers are released once nothing refers to any of their pieces. */
export class ByteArena {
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #used = 0;

  /** Copies bytes, which may change afterwards. */
  copy(piece: Uint8Array): ArenaPiece {
    if (piece.length > maxSharedPiece) {
      return { view: new DataView(piece.slice().buffer), start: 0, end: piece.length };
    }
    if (this.#used + piece.length > this.#bytes.length) {
      this.#bytes = new Uint8Array(sharedBytes);
      this.#view = new DataView(this.#bytes.buffer);
      this.#used = 0;
    }
    const start = this.#used;
    this.#bytes.set(piece, start);
    this.#used += piece.length;
    return { view: this.#view, start, end: this.#used };
  }
}
