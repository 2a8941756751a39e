import type { SessionPool } from "../../postgres/internal.ts";
import { digestOf, type KeyScope, matchesDigest, matchesHash, prefixOf } from "../keys/mod.ts";
import { type ApiKeyRow, findKeyByPrefix, storeDigest, touchKey } from "../store/mod.ts";
import { FailedAttempts } from "./failed_attempts.ts";
import { HttpProblem } from "./problem.ts";

/**
 * scrypt is work on purpose; so much of it at a time that it cannot keep the service from
 * everything else.
 */
const maxDerivations = 4;
/** Requests that wait for their turn. */
const maxWaiting = 200;

/**
 * Finds whose key a request shows. The key's row is read for every request, so that a revoked or
 * expired key is refused at once.
 *
 * A right key passes by its digest, whatever has failed before, here or elsewhere. Wrong ones count
 * against the address that they come from. Keys that were made before digests were kept are
 * verified by scrypt the first time, and get their digest then.
 */
export class Authenticator {
  readonly #pool: SessionPool;
  readonly #failed: FailedAttempts;
  /** Keys that are being verified by scrypt: requests that show the same one share the answer. */
  readonly #verifying = new Map<string, Promise<boolean>>();
  readonly #waiting: (() => void)[] = [];
  #deriving = 0;

  constructor(pool: SessionPool, failed: FailedAttempts = new FailedAttempts()) {
    this.#pool = pool;
    this.#failed = failed;
  }

  /**
   * The key of a request.
   *
   * @param address where its connection comes from
   * @throws HttpProblem 401 when there is none or it is not good, 429 when too many wrong ones came
   * from this address
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
    // one answer for all that is wrong: it does not say which keys exist
    if (!matches || !isGood(row)) {
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
    await this.#pool.use((session) => storeDigest(session, id, digestOf(presented)));
    return true;
  }

  async #deriveInTurn(derive: () => Promise<boolean>): Promise<boolean> {
    if (this.#deriving >= maxDerivations) {
      if (this.#waiting.length >= maxWaiting) throw tooMany("too many keys at once");
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#deriving++;
    try {
      return await derive();
    } finally {
      // the turn is handed on
      const next = this.#waiting.shift();
      if (next === undefined) this.#deriving--;
      else next();
    }
  }
}

function tooManyFailures(): HttpProblem {
  return tooMany("too many wrong API keys came from this address");
}

function tooMany(detail: string): HttpProblem {
  return new HttpProblem(429, detail, { headers: { "retry-after": "1" } });
}

function isGood({ revokedAt, expiresAt }: ApiKeyRow): boolean {
  return revokedAt === null && (expiresAt === null || expiresAt.getTime() > Date.now());
}

function unauthorized(detail: string): HttpProblem {
  return new HttpProblem(401, detail, { headers: { "www-authenticate": "ApiKey" } });
}

/** Whether a key may do this. */
export function hasScope({ scopes }: ApiKeyRow, scope: KeyScope): boolean {
  return scopes.includes(scope) || scopes.includes("admin");
}

/** @throws HttpProblem 403 when the key may not */
export function requireScope(key: ApiKeyRow, scope: KeyScope): void {
  if (!hasScope(key, scope)) {
    throw new HttpProblem(403, `this key lacks the scope ${scope}`);
  }
}
