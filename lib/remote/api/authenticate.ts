import { createHash, timingSafeEqual } from "node:crypto";
import type { SessionPool } from "../../postgres/mod.ts";
import { prefixOf, type Scope, verifyApiKey } from "../keys/mod.ts";
import { type ApiKeyRow, findKeyByPrefix, takeToken, touchKey } from "../store/mod.ts";
import { HttpProblem } from "./problem.ts";

interface Verified {
  readonly digest: Uint8Array;
  readonly hash: string;
  readonly atMs: number;
}

const rememberMs = 60_000;
const mostRemembered = 10_000;
/** scrypt is work on purpose; so much of it at a time that nobody can make the service do nothing else. */
const mostDerivations = 4;
/** Requests that wait for their turn; an instance that has just started knows nobody's key yet. */
const mostWaiting = 200;

/**
 * Tells whose key a request shows. The key's row is read for every request, so that a revoked or expired key is refused at once;
 * only that the key belongs to its hash is remembered for a minute.
 */
export class Authenticator {
  readonly #pool: SessionPool;
  readonly #verified = new Map<string, Verified>();
  /** Keys that are being verified: requests that show the same one share the answer. */
  readonly #verifying = new Map<string, Promise<boolean>>();
  readonly #waiting: (() => void)[] = [];
  #deriving = 0;

  constructor(pool: SessionPool) {
    this.#pool = pool;
  }

  /**
   * The key of a request.
   *
   * @throws HttpProblem 401 when there is none or it is not good, 429 when it was tried too often
   */
  async authenticate(headers: Headers): Promise<ApiKeyRow> {
    const presented = headers.get("x-api-key") ??
      /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (presented === undefined) {
      throw unauthorized("send an API key in the header x-api-key");
    }
    const prefix = prefixOf(presented);
    const row = prefix === undefined
      ? undefined
      : await this.#pool.use((session) => findKeyByPrefix(session, prefix));
    // one answer for all that is wrong: nobody learns which keys there are
    if (row === undefined || !await this.#matches(presented, row) || !isGood(row)) {
      throw unauthorized("the API key is unknown, expired or revoked");
    }
    await this.#pool.use((session) => touchKey(session, row.id));
    return row;
  }

  async #matches(presented: string, key: ApiKeyRow): Promise<boolean> {
    const digest = createHash("sha256").update(presented).digest();
    const known = this.#verified.get(key.prefix);
    if (
      known !== undefined && known.hash === key.hash &&
      performance.now() - known.atMs < rememberMs && timingSafeEqual(known.digest, digest)
    ) return true;
    const name = `${key.prefix} ${key.hash} ${digest.toString("base64")}`;
    const verifying = this.#verifying.get(name) ??
      this.#verify(presented, { key, digest }).finally(() => this.#verifying.delete(name));
    this.#verifying.set(name, verifying);
    return await verifying;
  }

  async #verify(
    presented: string,
    { key: { id, prefix, hash }, digest }: {
      readonly key: ApiKeyRow;
      readonly digest: Uint8Array;
    },
  ): Promise<boolean> {
    const { allowed } = await this.#pool.use((session) =>
      takeToken(session, { apiKeyId: id, kind: "verify", rate: 2, burst: 20 })
    );
    if (!allowed) throw tooMany("too many attempts with this key");
    if (!await this.#deriveInTurn(() => verifyApiKey(presented, hash))) return false;
    if (this.#verified.size >= mostRemembered) this.#verified.clear();
    this.#verified.set(prefix, { digest, hash, atMs: performance.now() });
    return true;
  }

  async #deriveInTurn(derive: () => Promise<boolean>): Promise<boolean> {
    if (this.#deriving >= mostDerivations) {
      if (this.#waiting.length >= mostWaiting) throw tooMany("too many keys at once");
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
export function hasScope({ scopes }: ApiKeyRow, scope: Scope): boolean {
  return scopes.includes(scope) || scopes.includes("admin");
}

/** @throws HttpProblem 403 when the key may not */
export function requireScope(key: ApiKeyRow, scope: Scope): void {
  if (!hasScope(key, scope)) {
    throw new HttpProblem(403, `this key lacks the scope ${scope}`);
  }
}
