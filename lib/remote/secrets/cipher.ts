/** AES-256-GCM: a random 96-bit nonce, the ciphertext, a 128-bit tag. Source: NIST SP 800-38D. */
const nonceBytes = 12;

async function importKey(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

const encoder = new TextEncoder();

/** Encrypts bytes; `context` is authenticated but not stored. */
export async function encrypt(
  plain: Uint8Array<ArrayBuffer>,
  { key, context }: { readonly key: Uint8Array<ArrayBuffer>; readonly context: string },
): Promise<Uint8Array<ArrayBuffer>> {
  const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes));
  const sealed = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv: nonce, additionalData: encoder.encode(context) },
    await importKey(key),
    plain,
  );
  const bytes = new Uint8Array(nonceBytes + sealed.byteLength);
  bytes.set(nonce);
  bytes.set(new Uint8Array(sealed), nonceBytes);
  return bytes;
}

/**
 * Decrypts bytes encrypted by {@linkcode encrypt}.
 *
 * @throws DOMException (OperationError) if the key, the context or the bytes do not match
 */
export async function decrypt(
  sealed: Uint8Array<ArrayBuffer>,
  { key, context }: { readonly key: Uint8Array<ArrayBuffer>; readonly context: string },
): Promise<Uint8Array<ArrayBuffer>> {
  const plain = await crypto.subtle.decrypt(
    {
      name: "AES-GCM",
      iv: sealed.slice(0, nonceBytes),
      additionalData: encoder.encode(context),
    },
    await importKey(key),
    sealed.slice(nonceBytes),
  );
  return new Uint8Array(plain);
}
