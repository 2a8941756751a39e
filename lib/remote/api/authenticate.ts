import type { SessionPool } from "../../postgres/internal.ts";
import { digestOf, type KeyScope, matchesDigest, matchesHash, prefixOf } from "../keys/mod.ts";
import { type ApiKeyRow, findKeyByPrefix, storeDigest, touchKey } from "../store/mod.ts";
import { FailedAttempts } from "./failed_attempts.ts";
import { HttpProblem } from "./problem.ts";

/**
 * scrypt is expensive by design: limits how many derivations run at a time.
 */
const maxDerivations = 4;
/** Maximum number of requests waiting for a derivation. */
const maxWaiting = 200;

/**
 * Authenticates requests by API key. The key's row is read for every request, so that revoked and
 * expired keys are refused immediately.
 *
 * A valid key is recognized by its digest, regardless of earlier failures. Invalid keys count
 * against the client's address. Keys created before digests were stored are verified with scrypt
 * once, and get their digest then.
 */
export class Authenticator {
  readonly #pool: SessionPool;
  readonly #failed: FailedAttempts;
  /** Keys being verified with scrypt; requests with the same key share the result. */
  readonly #verifying = new Map<string, Promise<boolean>>();
  readonly #waiting: (() => void)[] = [];
  #deriving = 0;

  constructor(pool: SessionPool, failed: FailedAttempts = new FailedAttempts()) {
    this.#pool = pool;
    this.#failed = failed;
  }

  /**
   * Returns the key of a request.
   *
   * @param address the client's address
   * @throws HttpProblem 401 if the key is missing or invalid, 429 after too many invalid keys from
   * this address
   */
  async authenticate(headers: Headers, address: string | undefined): Promise<ApiKeyRow> {
    const presented = headers.get("x-api-key") ??
      /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (presented === undefined) {
      throw unauthorized("send an API key in the header x-api-key");
    }
    const prefix = prefixOf(presented);
    const row = prefix === undefined
      ? undefined
      : await this.#pool.use((session) => findKeyByPrefix(session, prefix));
    const matches = row !== undefined && await this.#matches(presented, row, address);
    if (!matches) {
      if (this.#failed.isExhausted(address)) throw tooManyFailures();
      this.#failed.add(address);
    }
    // the same response in all cases, so that it does not reveal which keys exist
    if (!matches || !isActive(row)) {
      throw unauthorized("the API key is unknown, expired or revoked");
    }
    await this.#pool.use((session) => touchKey(session, row.id));
    return row;
  }

  async #matches(
    presented: string,
    key: ApiKeyRow,
    address: string | undefined,
  ): Promise<boolean> {
    if (key.digest !== null) return matchesDigest(presented, key.digest);
    if (this.#failed.isExhausted(address)) throw tooManyFailures();
    const name = `${key.id} ${digestOf(presented)}`;
    const verifying = this.#verifying.get(name) ??
      this.#verifyByHash(presented, key).finally(() => this.#verifying.delete(name));
    this.#verifying.set(name, verifying);
    return await verifying;
  }

  async #verifyByHash(presented: string, { id, hash }: ApiKeyRow): Promise<boolean> {
    if (!await this.#deriveInTurn(() => matchesHash(presented, hash))) return false;
    await this.#pool.use((session) => storeDigest(session, { id, digest: digestOf(presented) }));
    return true;
  }

  async #deriveInTurn(derive: () => Promise<boolean>): Promise<boolean> {
    if (this.#deriving >= maxDerivations) {
      if (this.#waiting.length >= maxWaiting) {
        throw tooMany("too many concurrent key verifications");
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#deriving++;
    try {
      return await derive();
    } finally {
      // passes the slot to the next request
      const next = this.#waiting.shift();
      if (next === undefined) this.#deriving--;
      else next();
    }
  }
}

function tooManyFailures(): HttpProblem {
  return tooMany("too many invalid API keys from this address");
}

function tooMany(detail: string): HttpProblem {
  return new HttpProblem(429, detail, { headers: { "retry-after": "1" } });
}

function isActive({ revokedAt, expiresAt }: ApiKeyRow): boolean {
  return revokedAt === null && (expiresAt === null || expiresAt.getTime() > Date.now());
}

function unauthorized(detail: string): HttpProblem {
  return new HttpProblem(401, detail, { headers: { "www-authenticate": "ApiKey" } });
}

/** Whether a key has a scope. */
export function hasScope({ scopes }: ApiKeyRow, scope: KeyScope): boolean {
  return scopes.includes(scope) || scopes.includes("admin");
}

/** @throws HttpProblem 403 if the key lacks the scope */
export function requireScope(key: ApiKeyRow, scope: KeyScope): void {
  if (!hasScope(key, scope)) {
    throw new HttpProblem(403, `this key lacks the scope ${scope}`);
  }
}
