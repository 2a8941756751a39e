import { Buffer } from "node:buffer";
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** What a key may be used for. */
export const scopes = ["jobs:read", "jobs:write", "metrics:read", "admin"] as const;
/** One of {@linkcode scopes}. `admin` may do everything, for everybody. */
export type Scope = typeof scopes[number];

/** A key that was just made. The whole of it is never kept: who loses it makes another. */
export interface NewApiKey {
  /** What the client sends: `srk_<prefix>_<secret>`. */
  readonly key: string;
  /** Tells keys apart, in lists and logs; no secret. */
  readonly prefix: string;
  /** scrypt of the whole key, with its salt and costs. */
  readonly hash: string;
}

/**
 * The secret has 256 random bits, so nobody guesses it whatever the hash costs; the cost is for the case that keys are one day
 * made otherwise. It is paid once a minute and key, see `Authenticator`.
 */
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
    hash: `scrypt$${N}$${r}$${p}$${salt.toString("base64")}$${hash.toString("base64")}`,
  };
}

/** The prefix of what a client sent; undefined when it has not the form of a key. */
export function prefixOf(key: string): string | undefined {
  return keyForm.exec(key)?.[1];
}

/** Whether a key is the one that the hash was made of. */
export async function verifyApiKey(key: string, stored: string): Promise<boolean> {
  const [algorithm, N, r, p, salt = "", hash = ""] = stored.split("$");
  if (algorithm !== "scrypt") return false;
  const expected = Buffer.from(hash, "base64");
  const actual = await derive(key, Buffer.from(salt, "base64"), {
    N: Number(N),
    r: Number(r),
    p: Number(p),
  });
  return timingSafeEqual(actual, expected);
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
