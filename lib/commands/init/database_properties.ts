/**
 * Properties of a copied database: its settings before the copy, all others after it.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../../core/internal.ts";
import { type Endpoint, openSessionWithRetry, type Session } from "../../postgres/internal.ts";
import {
  applyStatements,
  type DatabaseProperties,
  databasePropertyStatements,
  databaseSettingStatements,
  readDatabaseProperties,
} from "../../schema/internal.ts";
import { type DumpApplier, reportAdaptations } from "./apply_dump.ts";
import type { CopyDatabaseOptions } from "./copy_options.ts";

/** Which databases. */
export interface DatabasePropertiesOptions
  extends Pick<CopyDatabaseOptions, "planned" | "maintenance" | "recorder" | "signal"> {
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/**
 * `ALTER DATABASE … SET`, also of roles in the database, before anything is created there: as with
 * pg_dump and psql, the database has its own TimeZone before its rows. Can be repeated.
 */
export async function copySettings(
  { maintenance, target, recorder }: Pick<
    DatabasePropertiesOptions,
    "maintenance" | "target" | "recorder"
  >,
  properties: DatabaseProperties,
): Promise<void> {
  const statements = databaseSettingStatements(properties, { name: target.database, late: false });
  reportAdaptations(await applyStatements(maintenance, statements), recorder.events);
}

/** Owner, privileges and final comment of the database. */
export async function copyProperties(
  options: DatabasePropertiesOptions & { readonly schema: DumpApplier },
): Promise<void> {
  const { source, target, maintenance, planned, schema, recorder, signal } = options;
  await using session = await openSessionWithRetry(source, { signal, events: recorder.events });
  const properties = await readDatabaseProperties(session);
  await commentOnDatabase(maintenance, { name: planned.target, text: undefined });
  // executed in another database; can be repeated
  reportAdaptations(
    await applyStatements(
      maintenance,
      databasePropertyStatements(properties, { name: target.database }),
      { incomplete: schema.incomplete },
    ),
    recorder.events,
  );
}

/** Sets a database's comment; undefined removes it. */
export async function commentOnDatabase(
  session: Session,
  { name, text }: { readonly name: string; readonly text: string | undefined },
): Promise<void> {
  await session.execute(
    `COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${
      text === undefined ? "NULL" : quoteLiteral(text)
    }`,
  );
}
