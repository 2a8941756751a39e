/**
 * Tables that are new on the source: created on the target completely, in one transaction, or not
 * at all.
 *
 * @module
 */
import {
  plural,
  quoteIdentifier,
  quoteQualified,
  retry,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  openSession,
  ServerError,
  type Session,
  silenceEventTriggers,
  SqlState,
} from "../../postgres/internal.ts";
import type { Table } from "../../catalog/internal.ts";
import { readShapes, type StreamStart } from "../../replication/internal.ts";
import {
  applyStatements,
  attachAfterKeys,
  dumpSchema,
  type DumpStatement,
  type DumpTool,
  findMissingObjects,
  firesForReplica,
  SchemaError,
  type SchemaObject,
  selectStatements,
} from "../../schema/internal.ts";
import type { Recorder } from "../shared/recorder.ts";
import { catchUpApplying } from "../shared/take_over.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** What {@linkcode makeTables} takes. */
export interface NewTablesOptions {
  readonly status: ReplicationStatus;
  readonly tables: readonly Table[];
  readonly tool: DumpTool;
  readonly start: Pick<StreamStart, "snapshot">;
  /** A session on the source's database. */
  readonly from: Session;
  /** A session on the target's database. */
  readonly to: Session;
  /** Whether copied rows fire no triggers: then keys and triggers are created before the copy. */
  readonly actsAsReplica: boolean;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
}

/** What has been created. */
export interface NewStructure {
  /** Statements to run after the copy, in their own transaction. */
  readonly late: readonly DumpStatement[];
  /** What to remove if the copy fails. */
  readonly made: {
    readonly relations: readonly TableName[];
    readonly objects: readonly SchemaObject[];
  };
}

/**
 * Creates the tables, empty, with keys, indexes, triggers, policies, privileges and comments; first
 * the partitioned tables above them, and the schemas, types, sequences and functions that the
 * target lacks.
 *
 * Runs in one transaction, which also drops what an interrupted run has created. Attaching empty
 * tables and checking their keys takes no time.
 */
export async function makeTables(options: NewTablesOptions): Promise<NewStructure> {
  const { status, tables, to, actsAsReplica, recorder } = options;
  const relations = await withMissingParents(options);
  const source = options.start.snapshot.session;
  const objects = await findMissingObjects({
    source,
    target: to,
    relations: await relationIds(source, relations),
  });
  const statements = attachAfterKeys(await readStatements(options, { relations, objects }))
    .filter(({ sql }) => !/^SET lock_timeout /.test(sql));
  const isLate = (statement: DumpStatement) =>
    firesForReplica(statement) || !actsAsReplica && needsRows(statement);
  const wanted = new Set(tables.map((table) => tableKey(table)));
  const leftovers = status.halfAdded.filter((table) => wanted.has(tableKey(table)));
  await recorder.step(
    () =>
      applyAtOnce(options, {
        before: dropTables(leftovers),
        statements: statements.filter((statement) => !isLate(statement)),
      }),
    {
      step: "schema",
      database: status.source.database,
      summarize: () => plural(relations.length, "table"),
    },
  );
  return {
    late: statements.filter((statement) => statement.type === undefined || isLate(statement)),
    made: { relations, objects },
  };
}

/** Runs the statements that had to wait for the copy. */
export async function finishTables(
  options: NewTablesOptions,
  { late }: NewStructure,
): Promise<void> {
  if (late.every(({ type }) => type === undefined)) return;
  await applyAtOnce(options, { before: [], statements: late });
}

/** Removes what {@linkcode makeTables} has created, except objects that others use by now. */
export async function removeTables(
  { target }: Pick<ReplicationStatus, "target">,
  { relations, objects }: NewStructure["made"],
): Promise<void> {
  await using session = await openSession(target);
  await silenceEventTriggers(session);
  await session.transaction(async () => {
    await session.execute("SET LOCAL lock_timeout = '10s'");
    for (const statement of dropTables(relations)) await session.execute(statement);
    for (const object of objects.toReversed()) {
      const statement = dropObject(object);
      if (statement === undefined) continue;
      await session.execute("SAVEPOINT object");
      try {
        await session.execute(statement);
      } catch (error) {
        if (!(error instanceof ServerError) || error.sqlState !== dependentObjects) throw error;
        await session.execute("ROLLBACK TO SAVEPOINT object");
      }
    }
  });
}

const dependentObjects = "2BP01";

function dropTables(relations: readonly TableName[]): readonly string[] {
  if (relations.length === 0) return [];
  const names = relations.map(({ schema, name }) => quoteQualified(schema, name));
  return [`DROP TABLE IF EXISTS ${names.join(", ")}`];
}

/** Routines and operators are kept: without tables that use them they do no harm. */
function dropObject({ type, schema, name }: SchemaObject): string | undefined {
  switch (type) {
    case "SCHEMA":
      return `DROP SCHEMA IF EXISTS ${quoteIdentifier(name)}`;
    case "TYPE":
    case "DOMAIN":
    case "SEQUENCE":
    case "COLLATION":
      return `DROP ${type} IF EXISTS ${quoteQualified(schema ?? "public", name)}`;
    default:
      return undefined;
  }
}

/** What would fire, or be checked, for every copied row. */
function needsRows({ type }: DumpStatement): boolean {
  return type === "TRIGGER" || type === "FK CONSTRAINT" || type === "TABLE ATTACH" ||
    type === "INDEX ATTACH";
}

/** The tables, and the partitioned tables above them that the target lacks. */
async function withMissingParents(
  { tables, start, to }: NewTablesOptions,
): Promise<readonly TableName[]> {
  const shapes = new Map(
    (await readShapes(start.snapshot.session)).map((shape) => [tableKey(shape), shape]),
  );
  const existing = new Set((await readShapes(to)).map((shape) => tableKey(shape)));
  const relations = new Map<string, TableName>();
  for (const table of tables) {
    for (const ancestor of shapes.get(tableKey(table))?.ancestors ?? []) {
      if (!existing.has(tableKey(ancestor))) relations.set(tableKey(ancestor), ancestor);
    }
    relations.set(tableKey(table), { schema: table.schema, name: table.name });
  }
  return [...relations.values()];
}

async function relationIds(
  session: Session,
  relations: readonly TableName[],
): Promise<readonly number[]> {
  const rows = await session.query<TableName & { readonly oid: number }>(
    `SELECT c.oid, n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_class AS c
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p')`,
  );
  const wanted = new Set(relations.map((relation) => tableKey(relation)));
  return rows.filter((row) => wanted.has(tableKey(row))).map(({ oid }) => oid);
}

async function readStatements(
  { status, tool, start, signal }: NewTablesOptions,
  { relations, objects }: {
    readonly relations: readonly TableName[];
    readonly objects: readonly SchemaObject[];
  },
): Promise<readonly DumpStatement[]> {
  const dump = {
    endpoint: status.source,
    encoding: status.planned.source.encoding,
    tool,
    snapshot: start.snapshot.identifier,
    signal,
  };
  const own = await dumpSchema({ ...dump, only: relations });
  // in the order of the complete dump, which respects dependencies
  return objects.length === 0 ? own : selectStatements(await dumpSchema(dump), { own, objects });
}

/** No pauses: each attempt has waited for its locks. */
const applyDelaysMs: readonly number[] = [0, 0, 0, 0];

/**
 * Runs the statements in one transaction, and retries if locks are held by the apply worker or
 * other sessions. A default partition may still contain rows that the source has since moved out of
 * it: then the other streams catch up first.
 */
async function applyAtOnce(
  { status, to, recorder, signal }: NewTablesOptions,
  { before, statements }: {
    readonly before: readonly string[];
    readonly statements: readonly DumpStatement[];
  },
): Promise<void> {
  let hasCaughtUp = false;
  await using own = await openSession(to.endpoint, { signal, computesValues: true });
  // the source's event triggers have already run, and what they wrote is replicated
  await silenceEventTriggers(own);
  const apply = () =>
    own.transaction(async () => {
      await own.execute("SET LOCAL lock_timeout = '10s'");
      for (const statement of before) await own.execute(statement);
      return await applyStatements(own, statements, { inTransaction: true });
    });
  const adaptations = await retry(async () => {
    try {
      return await apply();
    } catch (error) {
      if (sqlStateOf(error) !== SqlState.checkViolation || hasCaughtUp) throw error;
      hasCaughtUp = true;
      await catchUpOthers(status, { recorder, signal });
      return await apply();
    }
  }, { delaysMs: applyDelaysMs, isRetryable: isOfLocks, signal });
  for (const adaptation of adaptations) recorder.events({ kind: "warning", ...adaptation });
}

function sqlStateOf(error: unknown): string | undefined {
  return error instanceof SchemaError || error instanceof ServerError ? error.sqlState : undefined;
}

function isOfLocks(error: unknown): boolean {
  const sqlState = sqlStateOf(error);
  return sqlState === SqlState.lockNotAvailable || sqlState === SqlState.deadlockDetected;
}

async function catchUpOthers(
  { source, target, verdicts }: ReplicationStatus,
  { recorder, signal }: { readonly recorder: Recorder; readonly signal: AbortSignal },
): Promise<void> {
  const subscriptions = verdicts.filter(({ action }) => action === "wait")
    .map(({ stream }) => stream.name);
  if (subscriptions.length === 0) return;
  await catchUpApplying({ source, target, subscriptions, signal, events: recorder.events });
}
