import { Buffer } from "node:buffer";
import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** What a key may be used for. */
export const keyScopes = ["jobs:read", "jobs:write", "metrics:read", "admin"] as const;
/** One of {@linkcode keyScopes}. `admin` may do everything, for everybody. */
export type KeyScope = typeof keyScopes[number];

/** A key that was just made. The whole of it is never kept: who loses it makes another. */
export interface NewApiKey {
  /** What the client sends: `srk_<prefix>_<secret>`. */
  readonly key: string;
  /** Tells keys apart, in lists and logs; no secret. */
  readonly prefix: string;
  /** {@linkcode digestOf} the whole key, by which it is verified. */
  readonly digest: string;
  /**
   * scrypt of the whole key, with its salt and costs: the only thing that instances of earlier
   * versions know.
   */
  readonly hash: string;
}

const cost = { N: 1 << 14, r: 8, p: 1 } as const;
const saltBytes = 16;
const hashBytes = 32;

const keyForm = /^srk_([0-9a-f]{12})_([\w-]{43})$/;

/** Makes a key. */
export async function makeApiKey(): Promise<NewApiKey> {
  const prefix = randomBytes(6).toString("hex");
  const key = `srk_${prefix}_${randomBytes(32).toString("base64url")}`;
  const salt = randomBytes(saltBytes);
  const hash = await derive(key, salt, cost);
  const { N, r, p } = cost;
  return {
    key,
    prefix,
    digest: digestOf(key),
    hash: `scrypt$${N}$${r}$${p}$${salt.toString("base64")}$${hash.toString("base64")}`,
  };
}

/** The prefix of what a client sent; undefined when it has not the form of a key. */
export function prefixOf(key: string): string | undefined {
  return keyForm.exec(key)?.[1];
}

/**
 * SHA-256 of a key, in base64. The secret has 256 random bits: no hash, however slow, makes it
 * harder to guess, and a fast one lets the right key pass whatever others try at the same time.
 */
export function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("base64");
}

/**
 * Whether a key is the one that the digest was made of, in a time that says nothing about either.
 */
export function matchesDigest(key: string, stored: string): boolean {
  const expected = Buffer.from(stored, "base64");
  const actual = Buffer.from(digestOf(key), "base64");
  return expected.length === actual.length && timingSafeEqual(actual, expected);
}

/**
 * Whether a key is the one that the hash was made of: for keys that were made before digests were
 * kept.
 */
export async function matchesHash(key: string, stored: string): Promise<boolean> {
  const [algorithm, N, r, p, salt = "", hash = ""] = stored.split("$");
  if (algorithm !== "scrypt") return false;
  const expected = Buffer.from(hash, "base64");
  const actual = await derive(key, Buffer.from(salt, "base64"), {
    N: Number(N),
    r: Number(r),
    p: Number(p),
  });
  return expected.length === actual.length && timingSafeEqual(actual, expected);
}

function derive(
  key: string,
  salt: Buffer,
  costs: { readonly N: number; readonly r: number; readonly p: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    scrypt(key, salt, hashBytes, costs, (error, derived) => {
      if (error === null) resolve(derived);
      else reject(error);
    })
  );
}
