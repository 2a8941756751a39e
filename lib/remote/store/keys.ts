import { keyLimits } from "../../config/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";
import type { KeyScope, NewApiKey } from "../keys/mod.ts";

/** The limits of an API key. */
export interface KeyLimits {
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** Concurrently running jobs. */
  readonly maxRunning: number;
  /** Jobs that are queued or running. */
  readonly maxQueued: number;
  readonly jobsPerDay: number;
}

/** The limits of a key that was created without any. */
export const defaultLimits: KeyLimits = {
  requestsPerSecond: keyLimits.requestsPerSecond.default,
  requestBurst: keyLimits.requestBurst.default,
  maxRunning: keyLimits.maxRunning.default,
  maxQueued: keyLimits.maxQueued.default,
  jobsPerDay: keyLimits.jobsPerDay.default,
};

/** A stored API key. */
export interface ApiKeyRow extends KeyLimits {
  readonly id: string;
  /** The user who owns the key and its jobs. */
  readonly owner: string;
  readonly name: string;
  readonly prefix: string;
  /**
   * SHA-256 of the key; null if it was created before digests were stored, until it is first used.
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
  /** The first key of a chain of rotations, which all share its limits. */
  readonly limitsId: string;
}

const columns = `
  id, owner, name, prefix, digest, hash, scopes, requests_per_second AS "requestsPerSecond",
  request_burst AS "requestBurst", most_running AS "maxRunning", most_queued AS "maxQueued",
  jobs_per_day AS "jobsPerDay", created_at AS "createdAt", created_by AS "createdBy",
  expires_at AS "expiresAt", revoked_at AS "revokedAt", last_used_at AS "lastUsedAt",
  replaced_by AS "replacedBy", coalesce(limits_id, id) AS "limitsId"`;

/** A key to store. */
export interface KeyToInsert extends KeyLimits {
  readonly owner: string;
  readonly name: string;
  readonly scopes: readonly KeyScope[];
  readonly expiresAt: Date | undefined;
  readonly createdBy: string;
  /** The key whose limits it shares; its own if undefined. */
  readonly limitsId?: string;
}

/** Stores a key. */
export async function insertKey(
  session: Session,
  secret: NewApiKey,
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
      secret.prefix,
      secret.hash,
      textArray(key.scopes),
      key.requestsPerSecond,
      key.requestBurst,
      key.maxRunning,
      key.maxQueued,
      key.jobsPerDay,
      key.createdBy,
      key.expiresAt?.toISOString() ?? null,
      key.limitsId ?? null,
      secret.digest,
    ],
  );
}

/** Finds a key by its prefix, whatever its state. */
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

/** Finds a key by its id, whatever its state. */
export async function findKey(session: Session, id: string): Promise<ApiKeyRow | undefined> {
  const [row] = await session.query<ApiKeyRow>(
    `SELECT ${columns} FROM seren_remote.api_keys WHERE id = $1::pg_catalog.text::pg_catalog.uuid`,
    [id],
  );
  return row;
}

/** Lists keys, newest first. */
export async function listKeys(session: Session): Promise<readonly ApiKeyRow[]> {
  return await session.query<ApiKeyRow>(
    `SELECT ${columns} FROM seren_remote.api_keys ORDER BY created_at DESC, id LIMIT 1000`,
  );
}

/** Revokes a key immediately. Returns false if it was already revoked. */
export async function revokeKey(session: Session, id: string): Promise<boolean> {
  const rows = await session.query(
    `UPDATE seren_remote.api_keys SET revoked_at = pg_catalog.now()
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND revoked_at IS NULL RETURNING id`,
    [id],
  );
  return rows.length > 0;
}

/** Records the successor of a key, which then expires after the overlap. */
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

/** Stores the digest of a key that was created before digests were stored. */
export async function storeDigest(
  session: Session,
  { id, digest }: { readonly id: string; readonly digest: string },
): Promise<void> {
  await session.query(
    "UPDATE seren_remote.api_keys SET digest = $2::pg_catalog.text WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND digest IS NULL",
    [id, digest],
  );
}

/**
 * Records when a key was last used, at most once a minute to save a write for each request.
 */
export async function touchKey(session: Session, id: string): Promise<void> {
  await session.query(
    `UPDATE seren_remote.api_keys SET last_used_at = pg_catalog.now()
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND (last_used_at IS NULL OR last_used_at < pg_catalog.now() - interval '1 minute')`,
    [id],
  );
}
