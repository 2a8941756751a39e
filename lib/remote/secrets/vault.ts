import { decrypt, encrypt } from "./cipher.ts";
import type { KeyContext, KeyProvider } from "./key_provider.ts";

/** A job's encrypted secrets, in base64. */
export interface SealedSecrets {
  /** The provider's key that encrypted the data key. */
  readonly keyId: string;
  readonly wrappedKey: string;
  readonly ciphertext: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function contextOf(jobId: string): KeyContext {
  return { service: "postgres-seren-replicator", job: jobId };
}

/** Encrypts a job's secrets with a new data key. They can be decrypted for this job only. */
export async function sealSecrets(
  provider: KeyProvider,
  { jobId, secrets }: { readonly jobId: string; readonly secrets: unknown },
): Promise<SealedSecrets> {
  const { plain, wrapped, keyId } = await provider.generate(contextOf(jobId));
  const ciphertext = await encrypt(encoder.encode(JSON.stringify(secrets)), {
    key: plain,
    context: `secrets ${jobId}`,
  });
  plain.fill(0);
  return { keyId, wrappedKey: wrapped.toBase64(), ciphertext: ciphertext.toBase64() };
}

/**
 * A job's decrypted secrets, and its data key for the job's other encrypted data. Open → disposed,
 * which wipes the key.
 */
export class OpenedSecrets implements Disposable {
  readonly secrets: unknown;
  readonly #jobId: string;
  readonly #key: Uint8Array<ArrayBuffer>;

  private constructor(
    jobId: string,
    { key, secrets }: { readonly key: Uint8Array<ArrayBuffer>; readonly secrets: unknown },
  ) {
    this.#jobId = jobId;
    this.#key = key;
    this.secrets = secrets;
  }

  /** @throws if the provider cannot decrypt the key, or the secrets are another job's */
  static async open(
    provider: KeyProvider,
    { jobId, sealed }: { readonly jobId: string; readonly sealed: SealedSecrets },
  ): Promise<OpenedSecrets> {
    const key = await provider.unwrap(Uint8Array.fromBase64(sealed.wrappedKey), {
      keyId: sealed.keyId,
      context: contextOf(jobId),
    });
    const plain = await decrypt(Uint8Array.fromBase64(sealed.ciphertext), {
      key,
      context: `secrets ${jobId}`,
    });
    return new OpenedSecrets(jobId, { key, secrets: JSON.parse(decoder.decode(plain)) });
  }

  /** Encrypts a text of the job. */
  async seal(text: string, purpose: string): Promise<string> {
    const context = `${purpose} ${this.#jobId}`;
    return (await encrypt(encoder.encode(text), { key: this.#key, context })).toBase64();
  }

  /** Decrypts a text encrypted by {@linkcode seal} for the same purpose. */
  async unseal(text: string, purpose: string): Promise<string> {
    const context = `${purpose} ${this.#jobId}`;
    return decoder.decode(await decrypt(Uint8Array.fromBase64(text), { key: this.#key, context }));
  }

  [Symbol.dispose](): void {
    this.#key.fill(0);
  }
}
