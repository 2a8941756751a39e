import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { SessionPool } from "../../postgres/internal.ts";
import { type Migration, migrations as allMigrations, serviceSchema } from "./migrations.ts";
import { refuseForeignSchemas } from "./own_schemas.ts";

/** The service's own schema and that of pg-boss. */
const schemas = [serviceSchema, `${serviceSchema}_queue`];

/** The key of an advisory lock; a fixed random constant. */
const migrationLock = "7237101459133720042";

/**
 * Migrates the service's tables to this version. Instances that start at the same time apply each
 * migration once.
 *
 * @throws ReplicatorError if the tables are newer than this program, or belong to another role
 */
export async function migrate(
  pool: SessionPool,
  migrations: readonly Migration[] = allMigrations,
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
        `the service's tables have version ${version}, but this program supports up to ${newest}`,
        { exitCode: ExitCode.prerequisite, remedy: "run a newer version of the program" },
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
