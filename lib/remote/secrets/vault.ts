import { decrypt, encrypt } from "./cipher.ts";
import type { KeyContext, KeyProvider } from "./key_provider.ts";

/** What is stored of a job's secrets. Texts are base64. */
export interface SealedSecrets {
  /** Which key of the provider wrapped the data key. */
  readonly keyId: string;
  readonly wrappedKey: string;
  readonly ciphertext: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function contextOf(jobId: string): KeyContext {
  return { service: "postgres-seren-replicator", job: jobId };
}

/** Encrypts a job's secrets under a data key of their own. They open for this job alone. */
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
 * A job's secrets, opened, and its data key for what else belongs to the job: open → disposed, when
 * the key is wiped.
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

  /** @throws when the provider does not open the key, or the secrets are another job's */
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

  /** Encrypts a text that belongs to the job. */
  async seal(text: string, purpose: string): Promise<string> {
    const context = `${purpose} ${this.#jobId}`;
    return (await encrypt(encoder.encode(text), { key: this.#key, context })).toBase64();
  }

  /** Opens what {@linkcode seal} gave for the same purpose. */
  async unseal(text: string, purpose: string): Promise<string> {
    const context = `${purpose} ${this.#jobId}`;
    return decoder.decode(await decrypt(Uint8Array.fromBase64(text), { key: this.#key, context }));
  }

  [Symbol.dispose](): void {
    this.#key.fill(0);
  }
}
