import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import {
  LocalKeyProvider,
  openAwsKms,
  OpenedSecrets,
  sealSecrets,
} from "../../../lib/remote/secrets/mod.ts";

async function withFile(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/keys`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const secrets = { source_url: "postgresql://u:secret@h/db", list: ["ö", "'"] };

Deno.test("secrets can be opened only for their job, and only unmodified", async () => {
  await withFile(async (path) => {
    const keys = await LocalKeyProvider.create(path);
    const sealed = await sealSecrets(keys, { jobId: "a", secrets });
    ok(!JSON.stringify(sealed).includes("secret@h"));
    using opened = await OpenedSecrets.open(keys, { jobId: "a", sealed });
    deepStrictEqual(opened.secrets, secrets);
    await rejects(OpenedSecrets.open(keys, { jobId: "b", sealed }));
    const flip = (text: string) => {
      const bytes = Uint8Array.fromBase64(text);
      bytes[bytes.length - 1]! ^= 1;
      return bytes.toBase64();
    };
    await rejects(
      OpenedSecrets.open(keys, {
        jobId: "a",
        sealed: { ...sealed, ciphertext: flip(sealed.ciphertext) },
      }),
    );
    await rejects(
      OpenedSecrets.open(keys, {
        jobId: "a",
        sealed: { ...sealed, wrappedKey: flip(sealed.wrappedKey) },
      }),
    );
    const text = await opened.seal("state", "checkpoint 1");
    strictEqual(await opened.unseal(text, "checkpoint 1"), "state");
    await rejects(opened.unseal(text, "checkpoint 2"));
  });
});

Deno.test("a rotated key file seals with the new key and opens what the old one sealed", async () => {
  await withFile(async (path) => {
    const before = await LocalKeyProvider.create(path);
    const old = await sealSecrets(before, { jobId: "a", secrets });
    const id = await LocalKeyProvider.rotate(path);
    const after = await LocalKeyProvider.open(path);
    deepStrictEqual(after.keyIds, [...before.keyIds, id]);
    const fresh = await sealSecrets(after, { jobId: "a", secrets });
    deepStrictEqual([old.keyId, fresh.keyId], [before.keyIds[0], id]);
    using opened = await OpenedSecrets.open(after, { jobId: "a", sealed: old });
    deepStrictEqual(opened.secrets, secrets);
    await rejects(OpenedSecrets.open(before, { jobId: "a", sealed: fresh }), /no key/);
    // creating it again leaves it unchanged
    deepStrictEqual((await LocalKeyProvider.create(path)).keyIds, after.keyIds);
  });
});

Deno.test("a key file that other users can read, or that is invalid, is rejected", async () => {
  await withFile(async (path) => {
    await rejects(LocalKeyProvider.open(path), /does not exist/);
    await LocalKeyProvider.create(path);
    strictEqual((await Deno.stat(path)).mode! & 0o777, 0o600);
    await Deno.chmod(path, 0o640);
    await rejects(LocalKeyProvider.open(path), /users other than its owner/);
    await Deno.chmod(path, 0o600);
    await Deno.writeTextFile(path, "not a key\n");
    await rejects(LocalKeyProvider.open(path), /line 1/);
  });
});

/**
 * An endpoint that implements the part of AWS KMS's JSON protocol that the service uses, with real
 * AES-256-GCM and the encryption context as additional data. Unlike AWS, it does not check
 * signatures, and has no policies and no other errors.
 */
function fakeKms() {
  const masters = new Map<string, CryptoKey>();
  const calls: string[] = [];
  const master = async (id: string) => {
    const key = masters.get(id) ??
      await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, [
        "encrypt",
        "decrypt",
      ]);
    masters.set(id, key);
    return key;
  };
  const aad = (context: Record<string, string>) =>
    new TextEncoder().encode(JSON.stringify(Object.entries(context).sort()));
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const target = request.headers.get("x-amz-target") ?? "";
      const body = await request.json();
      calls.push(target);
      const answer = (value: unknown, status = 200) =>
        new Response(JSON.stringify(value), {
          status,
          headers: { "content-type": "application/x-amz-json-1.1" },
        });
      if (!/^AWS4-HMAC-SHA256 Credential=/.test(request.headers.get("authorization") ?? "")) {
        return answer({ __type: "MissingAuthenticationTokenException" }, 400);
      }
      if (target === "TrentService.GenerateDataKey") {
        const plain = crypto.getRandomValues(new Uint8Array(32));
        const iv = crypto.getRandomValues(new Uint8Array(12));
        const sealed = new Uint8Array(
          await crypto.subtle.encrypt(
            { name: "AES-GCM", iv, additionalData: aad(body.EncryptionContext) },
            await master(body.KeyId),
            plain,
          ),
        );
        const blob = new Uint8Array([...iv, ...sealed]).toBase64();
        return answer({ KeyId: body.KeyId, Plaintext: plain.toBase64(), CiphertextBlob: blob });
      }
      try {
        const blob = Uint8Array.fromBase64(body.CiphertextBlob);
        const plain = await crypto.subtle.decrypt(
          { name: "AES-GCM", iv: blob.slice(0, 12), additionalData: aad(body.EncryptionContext) },
          await master(body.KeyId),
          blob.slice(12),
        );
        return answer({ KeyId: body.KeyId, Plaintext: new Uint8Array(plain).toBase64() });
      } catch {
        return answer({ __type: "InvalidCiphertextException" }, 400);
      }
    },
  );
  return { url: `http://127.0.0.1:${server.addr.port}`, calls, close: () => server.shutdown() };
}

Deno.test({
  name:
    "secrets are sealed by a key of AWS KMS, and open for their job alone (against an endpoint that speaks its protocol)",
  // the SDK keeps its connections in an agent that cannot be awaited
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    Deno.env.set("AWS_ACCESS_KEY_ID", "test");
    Deno.env.set("AWS_SECRET_ACCESS_KEY", "test");
    const kms = fakeKms();
    const provider = await openAwsKms({
      keyId: "alias/seren",
      region: "eu-central-1",
      endpoint: kms.url,
    });
    const sealed = await sealSecrets(provider, { jobId: "a", secrets });
    strictEqual(sealed.keyId, "alias/seren");
    using opened = await OpenedSecrets.open(provider, { jobId: "a", sealed });
    deepStrictEqual(opened.secrets, secrets);
    await rejects(OpenedSecrets.open(provider, { jobId: "b", sealed }), {
      name: "InvalidCiphertextException",
    });
    deepStrictEqual(kms.calls, [
      "TrentService.GenerateDataKey",
      "TrentService.Decrypt",
      "TrentService.Decrypt",
    ]);
    await kms.close();
  },
});
