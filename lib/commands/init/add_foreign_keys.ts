/**
 * The foreign keys of a copied database. Keys with orphaned rows stay NOT VALID, and nothing else
 * fails because of them.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  formatCount,
  plural,
  quoteIdentifier,
  quoteQualified,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  foreignKeyOf,
  type ForeignKeyStatement,
  listUnvalidatedKeys,
  type OrphanedKey,
  readForeignKey,
  validateForeignKeys,
} from "../../copy/internal.ts";
import { type Endpoint, type Session, SqlState } from "../../postgres/internal.ts";
import type { Consequences, SourceForeignKey } from "../../rules/internal.ts";
import { type DumpStatement, SchemaError } from "../../schema/internal.ts";
import type { DumpApplier } from "./apply_dump.ts";

/** Where and how keys are added. */
export interface AddForeignKeysOptions {
  readonly target: Endpoint;
  /** A session on the target. */
  readonly session: Session;
  /** Applies statements in that session. */
  readonly schema: DumpApplier;
  readonly partitioned: ReadonlySet<string>;
  /** How the rules affect keys; undefined without rules. */
  readonly consequences: Consequences | undefined;
  /** Keys validated at the same time. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  readonly database: string;
}

/**
 * Adds foreign keys NOT VALID, then validates them.
 *
 * @returns their number, and whether each is on the same table as on the source
 */
export async function addForeignKeys(
  statements: readonly DumpStatement[],
  options: AddForeignKeysOptions,
): Promise<{ readonly count: number; readonly complete: boolean }> {
  const { session, schema, partitioned, consequences, events } = options;
  const impossible = new Set(consequences?.impossibleKeys.map(keyOfConstraint));
  const wanted = new Set<string>();
  /** Keys of partitions, with the key of the partitioned table that they replace. */
  const replacements = new Map<string, string>();
  const statementOf = new Map<string, DumpStatement>();
  const plain: DumpStatement[] = [];
  const ofPartitioned: { readonly statement: DumpStatement; readonly key: ForeignKeyStatement }[] =
    [];
  let count = 0;
  let complete = impossible.size === 0;
  for (const statement of statements) {
    const key = readForeignKey(statement.sql);
    if (key === undefined) {
      plain.push(statement); // a comment on a key
      continue;
    }
    if (impossible.has(keyOfConstraint(key))) continue;
    statementOf.set(keyOfConstraint(key), statement);
    count++;
    // before version 18 the key of a partitioned table cannot be NOT VALID
    if (partitioned.has(tableKey(key.table))) ofPartitioned.push({ statement, key });
    else {
      if (key.validate) wanted.add(keyOfConstraint(key));
      plain.push({ ...statement, sql: key.sql });
    }
  }
  for (const { statement, key } of ofPartitioned) {
    for (const name of await addToPartitioned(statement, { key, session, schema, events })) {
      wanted.add(name);
      replacements.set(name, keyOfConstraint(key));
      complete = false;
    }
  }
  await schema.applyIn(session, plain);
  const keys = (await listUnvalidatedKeys(options.target, options.signal))
    .filter((key) => wanted.has(keyOfConstraint(key)));
  for (const orphaned of await validateForeignKeys(keys, options)) {
    const own = keyOfConstraint(orphaned);
    const { refusal } = orphaned;
    if (refusal !== undefined) {
      const statement = statementOf.get(replacements.get(own) ?? own);
      if (statement === undefined) throw refusal;
      schema.setAside.add({ statement, error: refusal, context: [], remedy: undefined });
      continue;
    }
    const doubtful = consequences?.doubtfulKeys
      .find((key) => keyOfConstraint(key) === (replacements.get(own) ?? own));
    reportOrphans(orphaned, doubtful, events);
  }
  return { count, complete };
}

/**
 * Adds the key or, if orphaned rows violate it, adds it to each partition instead.
 *
 * @returns the keys that remain to be validated
 */
async function addToPartitioned(
  statement: DumpStatement,
  { key, session, schema, events }: {
    readonly key: ForeignKeyStatement;
    readonly session: Session;
    readonly schema: DumpApplier;
    readonly events: EventSink;
  },
): Promise<readonly string[]> {
  try {
    await schema.applyStrictly(session, [statement]);
    return [];
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    if (error.sqlState !== SqlState.foreignKeyViolation) {
      schema.put(error);
      return [];
    }
  }
  const leaves = await session.query<TableName & Record<string, string>>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_partition_tree($1::pg_catalog.regclass) AS tree
       JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE tree.isleaf AND c.relkind = 'r'
      ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`,
    [quoteQualified(key.table.schema, key.table.name)],
  );
  await schema.applyIn(
    session,
    leaves.map((leaf) => ({ ...statement, sql: foreignKeyOf(key, leaf) })),
  );
  events({
    kind: "warning",
    side: "target",
    object: `foreign key ${quoteIdentifier(key.name)} of ${displayName(key.table)}`,
    message:
      `a partitioned table cannot have a key that is NOT VALID, and some rows have no parent: ` +
      `the key was added to each of its ${plural(leaves.length, "partition")} instead`,
    remedy:
      "repair the rows, then add the key to the partitioned table and drop those of the partitions",
  });
  return leaves.map((leaf) => keyOfConstraint({ table: leaf, name: key.name }));
}

function reportOrphans(
  { table, name, message, orphans }: OrphanedKey,
  doubtful: SourceForeignKey | undefined,
  events: EventSink,
): void {
  const rows = orphans === undefined
    ? "rows"
    : orphans === 1
    ? "1 row"
    : `${formatCount(orphans)} rows`;
  events({
    kind: "warning",
    side: doubtful === undefined ? "source" : "target",
    object: `foreign key ${quoteIdentifier(name)} of ${displayName(table)}`,
    message: doubtful === undefined
      ? `the source has ${rows} without a parent; the key was left NOT VALID: ${message}`
      : `${rows} without a parent, because the rules do not copy all of ${
        displayName(doubtful.references)
      }; the key was left NOT VALID`,
    remedy: doubtful === undefined
      ? "repair the rows on both sides, then run ALTER TABLE … VALIDATE CONSTRAINT on the target"
      : "restrict this table to the parents that are copied, or include all parents; then run ALTER TABLE … VALIDATE CONSTRAINT",
  });
}

function keyOfConstraint(
  { table, name }: { readonly table: TableName; readonly name: string },
): string {
  return JSON.stringify([table.schema, table.name, name]);
}
