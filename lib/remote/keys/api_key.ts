import { Buffer } from "node:buffer";
import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** The scopes of API keys. */
export const keyScopes = ["jobs:read", "jobs:write", "cutover", "metrics:read", "admin"] as const;
/**
 * One of {@linkcode keyScopes}. `admin` allows everything, for all users; `cutover` allows jobs
 * that change which side is in use, together with `jobs:write`.
 */
export type KeyScope = typeof keyScopes[number];

/** A new key. The key itself is never stored and cannot be recovered. */
export interface NewApiKey {
  /** Sent by clients: `srk_<prefix>_<secret>`. */
  readonly key: string;
  /** Identifies the key in lists and logs; not secret. */
  readonly prefix: string;
  /** {@linkcode digestOf} the key, for verification. */
  readonly digest: string;
  /**
   * scrypt of the key, with its salt and costs, for instances of earlier versions.
   */
  readonly hash: string;
}

const cost = { N: 1 << 14, r: 8, p: 1 } as const;
const saltBytes = 16;
const hashBytes = 32;

const keyForm = /^srk_([0-9a-f]{12})_([\w-]{43})$/;

/** Generates a key. */
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

/** The prefix of a key; undefined if it is malformed. */
export function prefixOf(key: string): string | undefined {
  return keyForm.exec(key)?.[1];
}

/**
 * SHA-256 of a key, in base64. The secret has 256 random bits, so a slow hash would not make it
 * harder to guess, while a fast one keeps valid keys usable during an attack.
 */
export function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("base64");
}

/**
 * Whether a key matches a digest; takes constant time.
 */
export function matchesDigest(key: string, stored: string): boolean {
  const expected = Buffer.from(stored, "base64");
  const actual = Buffer.from(digestOf(key), "base64");
  return expected.length === actual.length && timingSafeEqual(actual, expected);
}

/**
 * Whether a key matches a scrypt hash, for keys created before digests were stored.
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
