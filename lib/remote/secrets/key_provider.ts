/** A data key, in plain text and wrapped for storage. */
export interface DataKey {
  /** 32 bytes; never stored. */
  readonly plain: Uint8Array<ArrayBuffer>;
  /** Encrypted with the key `keyId`. */
  readonly wrapped: Uint8Array<ArrayBuffer>;
  /** The provider's key that encrypted it. */
  readonly keyId: string;
}

/** The context that a data key is bound to; required to unwrap it. */
export type KeyContext = Readonly<Record<string, string>>;

/**
 * Holds the keys that encrypt data keys (envelope encryption). The newest key encrypts; older keys
 * still decrypt what they encrypted.
 */
export interface KeyProvider {
  /** Generates a data key for a context. */
  generate(context: KeyContext): Promise<DataKey>;
  /**
   * Decrypts a data key.
   *
   * @throws if the key is unknown, the context differs, or the bytes were modified
   */
  unwrap(
    wrapped: Uint8Array<ArrayBuffer>,
    options: { readonly keyId: string; readonly context: KeyContext },
  ): Promise<Uint8Array<ArrayBuffer>>;
}
