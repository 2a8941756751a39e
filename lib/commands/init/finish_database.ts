/**
 * What a database gets when its rows and indexes are there: all that must not see half of the rows, and what nothing depends on.
 *
 * @module
 */
import { formatCount, plural, quoteIdentifier, quoteLiteral } from "../../core/mod.ts";
import { durableSettings, type Endpoint, openPatiently, type Session } from "../../postgres/mod.ts";
import {
  applyStatements,
  databasePropertyStatements,
  readDatabaseProperties,
} from "../../schema/mod.ts";
import { analyzeTables } from "../../copy/mod.ts";
import type { Consequences } from "../../rules/mod.ts";
import { addForeignKeys } from "./add_foreign_keys.ts";
import { type DumpApplier, tellAdaptations } from "./apply_dump.ts";
import type { CopyDatabaseOptions, SchemaParts } from "./copy_options.ts";
import { copySequences } from "./copy_sequences.ts";
import { partitionedTables } from "./partitioned_tables.ts";

/** Which database, and how. */
export interface FinishDatabaseOptions extends
  Pick<
    CopyDatabaseOptions,
    "planned" | "maintenance" | "jobs" | "indexJobs" | "recorder" | "signal"
  > {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly postData: SchemaParts["postData"];
  readonly schema: DumpApplier;
  /** What the rules make of keys; undefined when there are no rules. */
  readonly consequences: Consequences | undefined;
  /** Tables that have their statistics, by `tableKey`. */
  readonly analyzed: ReadonlySet<string>;
}

/** Foreign keys, sequences, triggers, views and rights, properties of the database, and the statistics that are missing. */
export async function finishDatabase(options: FinishDatabaseOptions): Promise<void> {
  const { recorder, postData, schema, analyzed, target, jobs, signal } = options;
  const { events } = recorder;
  const database = options.planned.source.name;
  await recorder.step(() => finishForeignKeys(options), {
    step: "foreign-keys",
    database,
    summarise: (count) => plural(count, "foreign key"),
  });
  await recorder.step(
    () => copySequences({ source: options.source, target, signal, events }),
    { step: "sequences", database, summarise: (count) => plural(count, "sequence") },
  );
  await recorder.step(async () => {
    await schema.apply([...postData.settings, ...postData.rest, ...postData.eventTriggers]);
    await copyProperties(options);
  }, { step: "finish-schema", database });
  await recorder.step(
    () => analyzeTables({ target, jobs, signal, events, database, done: analyzed }),
    {
      step: "analyze",
      database,
      summarise: (count) =>
        plural(count, "table") +
        (analyzed.size === 0 ? "" : `, ${formatCount(analyzed.size)} before`),
    },
  );
}

async function finishForeignKeys(
  { target, postData, schema, consequences, indexJobs, planned, recorder, signal }:
    FinishDatabaseOptions,
): Promise<number> {
  const { foreignKeys: statements, settings } = postData;
  if (statements.length === 0) return 0;
  await using session = await openPatiently(target, {
    signal,
    events: recorder.events,
    settings: durableSettings,
  });
  await schema.applyIn(session, settings);
  const { count, complete } = await addForeignKeys(statements, {
    target,
    session,
    apply: (some) => schema.applyIn(session, some),
    partitioned: await partitionedTables(session),
    consequences,
    jobs: indexJobs,
    signal,
    events: recorder.events,
    database: planned.source.name,
  });
  schema.incomplete ||= !complete;
  return count;
}

/** Owner, privileges, settings and the true comment of the database itself. */
async function copyProperties(
  { source, target, maintenance, planned, schema, recorder, signal }: FinishDatabaseOptions,
): Promise<void> {
  await using from = await openPatiently(source, { signal, events: recorder.events });
  const properties = await readDatabaseProperties(from);
  await commentOnDatabase(maintenance, { name: planned.target, text: undefined });
  // of the database, in another one: any number of times
  tellAdaptations(
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
