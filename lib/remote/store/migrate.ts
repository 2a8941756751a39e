import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { SessionPool } from "../../postgres/internal.ts";
import { type Migration, migrations as ourMigrations, schema } from "./migrations.ts";
import { refuseForeignSchemas } from "./own_schemas.ts";

/** The service's own and pg-boss's. */
const schemas = [schema, `${schema}_queue`];

/** An advisory lock's number: any number that nobody else uses. */
const migrationLock = "7237101459133720042";

/**
 * Brings the service's tables to this version, each step once however many instances start
 * together. Tables of a newer version are left alone.
 *
 * @throws ReplicatorError when the tables are of a newer version than this program, or another role
 * has made them
 */
export async function migrate(
  pool: SessionPool,
  migrations: readonly Migration[] = ourMigrations,
): Promise<void> {
  await pool.transaction(async (session) => {
    await session.query("SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)", [migrationLock]);
    await refuseForeignSchemas(session, schemas);
    await session.execute(`
      CREATE SCHEMA IF NOT EXISTS seren_remote;
      CREATE TABLE IF NOT EXISTS seren_remote.migrations (
        version integer PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT pg_catalog.now()
      )`);
    const { version } = await session.queryOne<{ readonly version: number }>(
      "SELECT coalesce(pg_catalog.max(version), 0) AS version FROM seren_remote.migrations",
    );
    const newest = migrations.at(-1)?.version ?? 0;
    if (version > newest) {
      throw new ReplicatorError(
        `the service's tables are of version ${version}; this program knows ${newest}`,
        { exitCode: ExitCode.prerequisite, remedy: "run the newer program" },
      );
    }
    for (const migration of migrations.filter((each) => each.version > version)) {
      await session.execute(migration.statements);
      await session.query("INSERT INTO seren_remote.migrations (version) VALUES ($1::int)", [
        migration.version,
      ]);
    }
  });
}
