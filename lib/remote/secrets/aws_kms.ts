import type { DataKey, KeyContext, KeyProvider } from "./key_provider.ts";

/** Settings of {@linkcode openAwsKms}. */
export interface AwsKmsOptions {
  /**
   * Id, ARN or alias of a symmetric key; existing data keys are decrypted with the key they name.
   */
  readonly keyId: string;
  readonly region: string;
  /** A custom endpoint: a VPC endpoint, or a compatible service. */
  readonly endpoint?: string | undefined;
}

/**
 * Generates data keys with AWS KMS (`GenerateDataKey`, `Decrypt`). The job is the encryption
 * context, so that CloudTrail shows for which job a key was decrypted. Credentials come from the
 * SDK's default provider chain (environment, profile, instance role).
 *
 * Requires `--allow-net` for the endpoint, and access to the environment variables and files that
 * the SDK uses.
 */
export async function openAwsKms(options: AwsKmsOptions): Promise<KeyProvider> {
  // imported on demand, because the SDK is large
  const { DecryptCommand, GenerateDataKeyCommand, KMSClient } = await import("@aws-sdk/client-kms");
  const client = new KMSClient({
    region: options.region,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
  });
  return {
    async generate(context: KeyContext): Promise<DataKey> {
      const made = await client.send(
        new GenerateDataKeyCommand({
          KeyId: options.keyId,
          KeySpec: "AES_256",
          EncryptionContext: { ...context },
        }),
      );
      if (made.Plaintext === undefined || made.CiphertextBlob === undefined) {
        throw new Error("KMS returned no data key");
      }
      return {
        plain: made.Plaintext.slice(),
        wrapped: made.CiphertextBlob.slice(),
        keyId: made.KeyId ?? options.keyId,
      };
    },
    async unwrap(wrapped, { keyId, context }): Promise<Uint8Array<ArrayBuffer>> {
      const { Plaintext } = await client.send(
        new DecryptCommand({
          KeyId: keyId,
          CiphertextBlob: wrapped,
          EncryptionContext: { ...context },
        }),
      );
      if (Plaintext === undefined) throw new Error("KMS returned no data key");
      return Plaintext.slice();
    },
  };
}
