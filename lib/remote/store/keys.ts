import { type Session, textArray } from "../../postgres/internal.ts";
import type { KeyScope, NewApiKey } from "../keys/mod.ts";

/** What a key may take of the service. */
export interface KeyLimits {
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** Jobs that run at once. */
  readonly maxRunning: number;
  /** Jobs that wait or run at once. */
  readonly maxQueued: number;
  readonly jobsPerDay: number;
}

/** What a key gets when nobody says otherwise. */
export const defaultLimits: KeyLimits = {
  requestsPerSecond: 20,
  requestBurst: 60,
  maxRunning: 4,
  maxQueued: 200,
  jobsPerDay: 5_000,
};

/** A key as it is kept. */
export interface ApiKeyRow extends KeyLimits {
  readonly id: string;
  /** The user that it belongs to; jobs belong to the user. */
  readonly owner: string;
  readonly name: string;
  readonly prefix: string;
  /**
   * SHA-256 of the key; null until a key that was made before digests were kept is used for the
   * first time.
   */
  readonly digest: string | null;
  /** scrypt of the key. */
  readonly hash: string;
  readonly scopes: readonly KeyScope[];
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly replacedBy: string | null;
  /** The first of the keys that replaced each other: limits count for all of them together. */
  readonly limitsId: string;
}

const columns = `
  id, owner, name, prefix, digest, hash, scopes, requests_per_second AS "requestsPerSecond",
  request_burst AS "requestBurst", most_running AS "maxRunning", most_queued AS "maxQueued",
  jobs_per_day AS "jobsPerDay", created_at AS "createdAt", created_by AS "createdBy",
  expires_at AS "expiresAt", revoked_at AS "revokedAt", last_used_at AS "lastUsedAt",
  replaced_by AS "replacedBy", coalesce(limits_id, id) AS "limitsId"`;

/** What is kept of a new key. */
export interface KeyToInsert extends KeyLimits {
  readonly owner: string;
  readonly name: string;
  readonly scopes: readonly KeyScope[];
  readonly expiresAt: Date | undefined;
  readonly createdBy: string;
  /** Whose limits it shares; its own when undefined. */
  readonly limitsId?: string;
}

/** Keeps a key. */
export async function insertKey(
  session: Session,
  made: NewApiKey,
  key: KeyToInsert,
): Promise<ApiKeyRow> {
  return await session.queryOne<ApiKeyRow>(
    `INSERT INTO seren_remote.api_keys (
       owner, name, prefix, hash, scopes, requests_per_second, request_burst, most_running,
       most_queued, jobs_per_day, created_by, expires_at, limits_id, digest)
     VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text[], $6::pg_catalog.float8, $7::int, $8::int, $9::int, $10::int,
             $11::pg_catalog.text, $12::pg_catalog.text::pg_catalog.timestamptz, $13::pg_catalog.text::pg_catalog.uuid, $14::pg_catalog.text)
     RETURNING ${columns}`,
    [
      key.owner,
      key.name,
      made.prefix,
      made.hash,
      textArray(key.scopes),
      key.requestsPerSecond,
      key.requestBurst,
      key.maxRunning,
      key.maxQueued,
      key.jobsPerDay,
      key.createdBy,
      key.expiresAt?.toISOString() ?? null,
      key.limitsId ?? null,
      made.digest,
    ],
  );
}

/** The key of a prefix, whatever its state. */
export async function findKeyByPrefix(
  session: Session,
  prefix: string,
): Promise<ApiKeyRow | undefined> {
  const [row] = await session.query<ApiKeyRow>(
    `SELECT ${columns} FROM seren_remote.api_keys WHERE prefix = $1::pg_catalog.text`,
    [prefix],
  );
  return row;
}

/** The key of an id, whatever its state. */
export async function findKey(session: Session, id: string): Promise<ApiKeyRow | undefined> {
  const [row] = await session.query<ApiKeyRow>(
    `SELECT ${columns} FROM seren_remote.api_keys WHERE id = $1::pg_catalog.text::pg_catalog.uuid`,
    [id],
  );
  return row;
}

/** All keys, the newest first. */
export async function listKeys(session: Session): Promise<readonly ApiKeyRow[]> {
  return await session.query<ApiKeyRow>(
    `SELECT ${columns} FROM seren_remote.api_keys ORDER BY created_at DESC, id LIMIT 1000`,
  );
}

/** Ends a key at once. Returns whether it was still good. */
export async function revokeKey(session: Session, id: string): Promise<boolean> {
  const rows = await session.query(
    `UPDATE seren_remote.api_keys SET revoked_at = pg_catalog.now()
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND revoked_at IS NULL RETURNING id`,
    [id],
  );
  return rows.length > 0;
}

/** Lets a key that has a successor go on for a while. */
export async function replaceKey(
  session: Session,
  id: string,
  { by, overlapSeconds }: { readonly by: string; readonly overlapSeconds: number },
): Promise<void> {
  await session.query(
    `UPDATE seren_remote.api_keys
        SET replaced_by = $2::pg_catalog.text::pg_catalog.uuid,
            expires_at = least(coalesce(expires_at, 'infinity'), pg_catalog.now() + pg_catalog.make_interval(secs => $3::pg_catalog.float8))
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid`,
    [id, by, overlapSeconds],
  );
}

/** Keeps the digest of a key that was made before digests were kept. */
export async function keepDigest(session: Session, id: string, digest: string): Promise<void> {
  await session.query(
    "UPDATE seren_remote.api_keys SET digest = $2::pg_catalog.text WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND digest IS NULL",
    [id, digest],
  );
}

/**
 * Notes that a key was used, once a minute at most: a write for every request would be a write too
 * many.
 */
export async function touchKey(session: Session, id: string): Promise<void> {
  await session.query(
    `UPDATE seren_remote.api_keys SET last_used_at = pg_catalog.now()
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND (last_used_at IS NULL OR last_used_at < pg_catalog.now() - interval '1 minute')`,
    [id],
  );
}
