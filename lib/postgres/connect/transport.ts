/**
 * Bytes to and from a server, pulled: nothing is read before it is asked for, so a slow reader
 * slows the sender through TCP instead of filling memory.
 *
 * @module
 */

/** A connected byte stream; one read and one write at a time. */
export interface Transport {
  /** Whether TLS protects it. */
  readonly encrypted: boolean;
  /**
   * Hash of the server's certificate, for channel binding; undefined without TLS, and when its
   * signature algorithm implies no known hash.
   */
  readonly certificateHash: Uint8Array | undefined;
  /** Reads available bytes, at most the buffer's size; null at the end of the stream. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes all bytes; resolves when they have been accepted. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes at once; a read or write in progress fails. May be called twice. */
  close(): void;
}
