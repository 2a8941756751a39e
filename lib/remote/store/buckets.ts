import type { Session } from "../../postgres/internal.ts";

/** Which bucket, how fast it fills, how much it holds. */
export interface BucketRequest {
  readonly apiKeyId: string;
  readonly kind: string;
  /** Tokens a second. */
  readonly rate: number;
  readonly burst: number;
}

/** Whether a token was there; if not, when the next one is. */
export interface BucketAnswer {
  readonly allowed: boolean;
  readonly retryAfterSeconds: number;
}

/**
 * Takes a token from a bucket that all instances share: one statement, so that two that ask
 * together take two tokens. The clock is the database's.
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
