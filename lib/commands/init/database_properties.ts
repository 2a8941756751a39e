/**
 * What a copied database has besides its objects: its settings first, everything else when the copy
 * is finished.
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

/** Of which database, and whose. */
export interface DatabasePropertiesOptions
  extends Pick<CopyDatabaseOptions, "planned" | "maintenance" | "recorder" | "signal"> {
  readonly source: Endpoint;
  readonly target: Endpoint;
}

async function readProperties(
  { source, recorder, signal }: Pick<DatabasePropertiesOptions, "source" | "recorder" | "signal">,
): Promise<DatabaseProperties> {
  await using session = await openSessionWithRetry(source, { signal, events: recorder.events });
  return await readDatabaseProperties(session);
}

/**
 * `ALTER DATABASE … SET`, and of roles in it, before anything is made there: as with pg_dump and
 * psql, rows and indexes come into a database that has its own TimeZone. Any number of times.
 */
export async function copySettings(options: DatabasePropertiesOptions): Promise<void> {
  const { maintenance, target, recorder } = options;
  const statements = databaseSettingStatements(await readProperties(options), {
    name: target.database,
    late: false,
  });
  reportAdaptations(await applyStatements(maintenance, statements), recorder.events);
}

/** Owner, privileges and the true comment of the database itself. */
export async function copyProperties(
  options: DatabasePropertiesOptions & { readonly schema: DumpApplier },
): Promise<void> {
  const { target, maintenance, planned, schema, recorder } = options;
  const properties = await readProperties(options);
  await commentOnDatabase(maintenance, { name: planned.target, text: undefined });
  // of the database, in another one: any number of times
  reportAdaptations(
    await applyStatements(
      maintenance,
      databasePropertyStatements(properties, { name: target.database }),
      { incomplete: schema.incomplete },
    ),
    recorder.events,
  );
}

/** Sets a database's comment; undefined takes it away. */
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
