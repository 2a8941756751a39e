/**
 * The tool's schema in a target whose changes it applies itself: a record for each stream, written
 * in the transactions that apply its changes, and the tables of each stream.
 *
 * @module
 */
import { applySchema, ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { describeGrants, examineOwnSchema } from "../../checkpoint/internal.ts";

/** The table with the record of each stream. */
export const applyStreamTable = `${applySchema}.stream`;

/** The table with the tables whose changes are applied; changes of others are ignored. */
export const applyTableTable = `${applySchema}.stream_table`;

/**
 * A setting of the sessions that apply changes: the name of the stream. The fence of a cutover lets
 * them pass.
 */
export const applySetting = `${applySchema}.applies`;

/** Statements that create the schema in the caller's transaction. They can be repeated. */
export const applySchemaStatements: readonly string[] = [
  "SET LOCAL client_min_messages = error",
  `CREATE SCHEMA IF NOT EXISTS ${applySchema}`,
  `CREATE TABLE IF NOT EXISTS ${applyStreamTable} (
     name text PRIMARY KEY,
     enabled boolean NOT NULL,
     comment text NOT NULL,
     slot_name text,
     end_lsn pg_lsn NOT NULL,
     applied_at timestamptz,
     transactions bigint NOT NULL DEFAULT 0,
     changes bigint NOT NULL DEFAULT 0,
     skip_lsn pg_lsn,
     errors bigint NOT NULL DEFAULT 0,
     error jsonb,
     conflicts jsonb NOT NULL DEFAULT '{}',
     pid integer,
     seen_at timestamptz)`,
  `CREATE TABLE IF NOT EXISTS ${applyTableTable} (
     stream text NOT NULL,
     schema_name text NOT NULL,
     table_name text NOT NULL,
     row_filter text, -- evaluated by the tool, if the source is older than 15
     PRIMARY KEY (stream, schema_name, table_name))`,
];

/**
 * Whether the session's database has the schema.
 *
 * @throws ReplicatorError (prerequisite) if a schema of that name exists that the tool did not
 * create
 */
export async function refuseForeignApplySchema(session: Session): Promise<boolean> {
  const { exists, problems, revokes } = await examineOwnSchema(session, applySchema);
  if (problems.length === 0) return exists && await hasTables(session);
  const { message, remedy } = revokes.length > 0 ? describeGrants(applySchema, revokes) : {
    message:
      `the schema ${applySchema} was not created by this role or a superuser, so it is not trusted`,
    remedy:
      "if an earlier run created it as another role, connect as that role; otherwise inspect it, and if it is not needed: " +
      `DROP SCHEMA ${applySchema} CASCADE;`,
  };
  throw new ReplicatorError(message, {
    side: session.side,
    object: `database ${session.endpoint.database}`,
    details: problems.slice(0, 10),
    remedy,
    exitCode: ExitCode.prerequisite,
  });
}

/** The same; false also for a schema that the tool did not create. */
export async function hasApplySchema(session: Session): Promise<boolean> {
  const { exists, problems } = await examineOwnSchema(session, applySchema);
  return exists && problems.length === 0 && await hasTables(session);
}

async function hasTables(session: Session): Promise<boolean> {
  const { found } = await session.queryOne<{ readonly found: boolean }>(
    "SELECT pg_catalog.to_regclass($1) IS NOT NULL AND pg_catalog.to_regclass($2) IS NOT NULL AS found",
    [applyStreamTable, applyTableTable],
  );
  return found;
}
