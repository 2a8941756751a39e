import type { Session } from "../../postgres/internal.ts";

/** A token bucket: its refill rate and capacity. */
export interface BucketRequest {
  readonly apiKeyId: string;
  readonly kind: string;
  /** Tokens per second. */
  readonly rate: number;
  readonly burst: number;
}

/** Whether a token was taken; if not, when to try again. */
export interface BucketAnswer {
  readonly allowed: boolean;
  readonly retryAfterSeconds: number;
}

/**
 * Takes a token from a bucket shared by all instances. It is a single statement, so concurrent
 * requests take separate tokens. The database's clock is used.
 */
export async function takeToken(
  session: Session,
  { apiKeyId, kind, rate, burst }: BucketRequest,
): Promise<BucketAnswer> {
  const available =
    `least($4::pg_catalog.float8, b.tokens + $3::pg_catalog.float8 * greatest(0, extract(epoch FROM pg_catalog.clock_timestamp() - b.updated_at))::pg_catalog.float8)`;
  const { allowed, tokens } = await session.queryOne<
    { readonly allowed: boolean; readonly tokens: number }
  >(
    `INSERT INTO seren_remote.buckets AS b (api_key_id, kind, tokens, allowed, updated_at)
     VALUES ($1::pg_catalog.text::pg_catalog.uuid, $2::pg_catalog.text, $4::pg_catalog.float8 - 1, true, pg_catalog.clock_timestamp())
     ON CONFLICT (api_key_id, kind) DO UPDATE
        SET updated_at = greatest(b.updated_at, pg_catalog.clock_timestamp()),
            allowed = ${available} >= 1,
            tokens = ${available} - CASE WHEN ${available} >= 1 THEN 1 ELSE 0 END
     RETURNING allowed, tokens`,
    [apiKeyId, kind, rate, burst],
  );
  return { allowed, retryAfterSeconds: allowed ? 0 : Math.max(1, Math.ceil((1 - tokens) / rate)) };
}
