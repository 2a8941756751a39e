/**
 * Bytes to and from a server, pulled: nothing is read before it is asked for, so a slow reader
 * slows the sender through TCP instead of filling memory.
 *
 * @module
 */

/** A connected byte stream; one read and one write may be under way at a time. */
export interface Transport {
  /** Whether TLS protects it. */
  readonly encrypted: boolean;
  /**
   * Of the server's certificate, which a login can be bound to; undefined without TLS, and when it
   * has none that is known.
   */
  readonly certificateHash: Uint8Array | undefined;
  /** Reads what is there, at most the buffer's size; null at the end of the stream. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes all of the bytes; resolves when they have been taken. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes at once; a read or write under way fails. May be called twice. */
  close(): void;
}
