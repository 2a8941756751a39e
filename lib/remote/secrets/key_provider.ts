/** A data key, in the clear and as it may be stored. */
export interface DataKey {
  /** 32 bytes; kept in memory only. */
  readonly plain: Uint8Array<ArrayBuffer>;
  /** Encrypted by the key that `keyId` names. */
  readonly wrapped: Uint8Array<ArrayBuffer>;
  /** Which key of the provider encrypted it. */
  readonly keyId: string;
}

/** What a data key belongs to: it opens for nothing else. */
export type KeyContext = Readonly<Record<string, string>>;

/**
 * Keeps the keys that encrypt data keys (envelope encryption). A new key is used for what is sealed
 * from then on; older ones open what they sealed.
 */
export interface KeyProvider {
  /** Makes a data key for a context. */
  generate(context: KeyContext): Promise<DataKey>;
  /**
   * Opens a data key.
   *
   * @throws when the key is unknown, the context is another one, or the bytes were changed
   */
  unwrap(
    wrapped: Uint8Array<ArrayBuffer>,
    options: { readonly keyId: string; readonly context: KeyContext },
  ): Promise<Uint8Array<ArrayBuffer>>;
}
