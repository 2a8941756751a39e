import type { Session } from "../../postgres/internal.ts";

/** An action that a user performed or was denied. */
export interface AuditEntry {
  /** The user; `-` if unknown. */
  readonly actor: string;
  readonly apiKeyPrefix?: string | undefined;
  /** `key.create`, `job.cancel`. */
  readonly action: string;
  readonly object?: string | undefined;
  readonly outcome: "done" | "denied" | "failed";
  readonly traceId?: string | undefined;
  /** The client's IP address. */
  readonly address?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** A stored entry. */
export interface AuditRow {
  readonly id: number;
  readonly at: Date;
  readonly actor: string;
  readonly apiKeyPrefix: string | null;
  readonly action: string;
  readonly object: string | null;
  readonly outcome: string;
  readonly traceId: string | null;
  readonly address: string | null;
  readonly details: unknown;
}

/** Appends an entry. Entries cannot be changed or removed. */
export async function appendAudit(session: Session, entry: AuditEntry): Promise<void> {
  await session.query(
    `INSERT INTO seren_remote.audit (actor, api_key_prefix, action, object, outcome, trace_id, address, details)
     VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text, $6::pg_catalog.text, $7::pg_catalog.text, $8::pg_catalog.jsonb)`,
    [
      entry.actor,
      entry.apiKeyPrefix ?? null,
      entry.action,
      entry.object ?? null,
      entry.outcome,
      entry.traceId ?? null,
      entry.address ?? null,
      entry.details === undefined ? null : JSON.stringify(entry.details),
    ],
  );
}

/** Lists entries, newest first. */
export async function listAudit(
  session: Session,
  { before, limit }: { readonly before: number | undefined; readonly limit: number },
): Promise<readonly AuditRow[]> {
  return await session.query<AuditRow>(
    `SELECT id::pg_catalog.float8 AS id, at, actor, api_key_prefix AS "apiKeyPrefix", action, object, outcome,
            trace_id AS "traceId", address, details
       FROM seren_remote.audit
      WHERE $1::bigint IS NULL OR id < $1::bigint
      ORDER BY id DESC LIMIT $2::int`,
    [before ?? null, limit],
  );
}
