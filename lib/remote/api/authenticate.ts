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

/**
 * Tells whose key a request shows. The key's row is read for every request, so that a revoked or expired key is refused at once;
 * only that the key belongs to its hash is remembered for a minute.
 */
export class Authenticator {
  readonly #pool: SessionPool;
  readonly #verified = new Map<string, Verified>();
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

  async #matches(presented: string, { id, prefix, hash }: ApiKeyRow): Promise<boolean> {
    const digest = createHash("sha256").update(presented).digest();
    const known = this.#verified.get(prefix);
    if (
      known !== undefined && known.hash === hash && performance.now() - known.atMs < rememberMs &&
      timingSafeEqual(known.digest, digest)
    ) return true;
    const { allowed } = await this.#pool.use((session) =>
      takeToken(session, { apiKeyId: id, kind: "verify", rate: 2, burst: 20 })
    );
    if (!allowed || this.#deriving >= mostDerivations) {
      throw new HttpProblem(429, "too many attempts with this key", {
        headers: { "retry-after": "1" },
      });
    }
    this.#deriving++;
    try {
      if (!await verifyApiKey(presented, hash)) return false;
    } finally {
      this.#deriving--;
    }
    if (this.#verified.size >= mostRemembered) this.#verified.clear();
    this.#verified.set(prefix, { digest, hash, atMs: performance.now() });
    return true;
  }
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
