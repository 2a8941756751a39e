import type { DataKey, KeyContext, KeyProvider } from "./key_provider.ts";

/** Which key, and where. */
export interface AwsKmsOptions {
  /** Id, ARN or alias of a symmetric key; old data keys open by the key that is in them. */
  readonly keyId: string;
  readonly region: string;
  /** Another endpoint than AWS's: a private one, or one that speaks its protocol. */
  readonly endpoint?: string | undefined;
}

/**
 * Data keys by AWS KMS (`GenerateDataKey`, `Decrypt`), with the context as its encryption context,
 * so that CloudTrail shows for which job a key was opened. Credentials come as the SDK finds them
 * (variables, profile, instance role).
 *
 * Requires `--allow-net` of the endpoint, and the variables and files of the SDK that are used.
 */
export async function openAwsKms(options: AwsKmsOptions): Promise<KeyProvider> {
  // loaded only here: nobody else pays for the SDK
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
        throw new Error("KMS gave no data key");
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
      if (Plaintext === undefined) throw new Error("KMS gave no data key");
      return Plaintext.slice();
    },
  };
}
