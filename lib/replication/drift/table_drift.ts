/**
 * What DDL has changed on one side since the copy: replication does not carry it over.
 *
 * @module
 */
import {
  displayName,
  quoteIdentifier,
  quoteQualified,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { notOfExtension } from "../../catalog/internal.ts";
import type { SubscribedTable } from "../stream/read_progress.ts";
import { compareTypes, type ReplicatedTypeShape } from "./type_drift.ts";

/** A table with its columns, as far as replication cares. */
export interface TableShape extends TableName {
  /** A partitioned table has no rows of its own. */
  readonly partitioned: boolean;
  /** Roots of the partition tree that it is a leaf of. */
  readonly ancestors: readonly TableName[];
  readonly columns: readonly ColumnShape[];
}

/** A column. */
export interface ColumnShape {
  readonly name: string;
  /** As in a table definition. */
  readonly type: string;
  readonly generated: boolean;
  /** Whether NULL is refused. */
  readonly notNull: boolean;
}

/** A table that our publications list. */
export interface PublishedShape extends TableName {
  readonly publication: string;
  /** Undefined before 15, where all columns are published. */
  readonly columns: readonly string[] | undefined;
}

/** One object that the two sides do not have alike. */
export interface Drift extends TableName {
  readonly kind:
    | "table-added"
    | "table-missing"
    | "table-dropped"
    | "table-not-subscribed"
    | "table-not-published"
    | "column-added"
    | "column-dropped"
    | "column-type"
    | "column-not-null"
    | "partition"
    | "enum-label"
    | "domain-check"
    | "type-attribute";
  readonly column?: string;
  /** What is so, in a sentence. */
  readonly message: string;
  /** `problem`: changes are lost or cannot be applied. */
  readonly severity: "problem" | "warning";
  readonly remedy: string;
}

const shapeStatement = `
  SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, c.relkind = 'p' AS partitioned,
         coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', an.nspname, 'name', ac.relname))
                     FROM pg_catalog.pg_partition_ancestors(c.oid) AS a (oid)
                     JOIN pg_catalog.pg_class AS ac ON ac.oid = a.oid AND ac.oid <> c.oid
                     JOIN pg_catalog.pg_namespace AS an ON an.oid = ac.relnamespace), '[]') AS ancestors,
         coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
                                                     'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                                                     'generated', a.attgenerated <> '',
                                                     'notNull', a.attnotnull)
                                   ORDER BY a.attnum)
                     FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND ${notOfExtension("pg_class", "c.oid")}
   ORDER BY n.nspname::pg_catalog.text COLLATE pg_catalog."C", c.relname::pg_catalog.text COLLATE pg_catalog."C"`;

/** Logged tables of the session's database that belong to no extension. */
export async function readShapes(session: Session): Promise<readonly TableShape[]> {
  const rows = await session.query<TableShape>(shapeStatement);
  return rows.map(({ schema, name, partitioned, ancestors, columns }) => ({
    schema,
    name,
    partitioned,
    ancestors,
    columns,
  }));
}

const publishedStatement = `
  SELECT t.pubname::pg_catalog.text AS publication, t.schemaname::pg_catalog.text AS schema, t.tablename::pg_catalog.text AS name,
         pg_catalog.to_jsonb(t) -> 'attnames' AS columns                              -- 15+
    FROM pg_catalog.pg_publication_tables AS t
   WHERE t.pubname::pg_catalog.text LIKE 'seren\\_%'
   ORDER BY 1, t.schemaname::pg_catalog.text COLLATE pg_catalog."C", t.tablename::pg_catalog.text COLLATE pg_catalog."C"`;

/** What the publications of the session's database list whose names begin like ours. */
export async function readPublished(session: Session): Promise<readonly PublishedShape[]> {
  const rows = await session.query<{
    readonly publication: string;
    readonly schema: string;
    readonly name: string;
    readonly columns: readonly string[] | null;
  }>(publishedStatement);
  return rows.map((row) => ({ ...row, columns: row.columns ?? undefined }));
}

/** What is compared. */
export interface DriftInput {
  readonly source: readonly TableShape[];
  readonly target: readonly TableShape[];
  /** By our publications that have a stream. */
  readonly published: readonly PublishedShape[];
  readonly subscribed: readonly SubscribedTable[];
  /** Types that columns of the tables are made of, of both sides. */
  readonly types: {
    readonly source: readonly ReplicatedTypeShape[];
    readonly target: readonly ReplicatedTypeShape[];
  };
  /** Whether the rows of a table follow by the rules. */
  readonly inScope: (table: TableName) => boolean;
  /** Whether the user has chosen that the changes of a table do not follow. */
  readonly isSkipped: (table: TableName) => boolean;
}

/** Compares both sides. Pure. */
export function compareShapes(input: DriftInput): readonly Drift[] {
  const { source, target, published: publications, subscribed } = input;
  const onSource = new Map(source.map((table) => [tableKey(table), table]));
  const onTarget = new Map(target.map((table) => [tableKey(table), table]));
  const listed = new Map(publications.map((table) => [tableKey(table), table]));
  const applied = new Set(subscribed.map(tableKey));
  const drift: Drift[] = [];
  for (const [key, table] of listed) {
    const shape = onSource.get(key);
    const copy = onTarget.get(key);
    if (copy === undefined) drift.push(missing(table));
    else {
      if (!applied.has(key)) drift.push(notSubscribed(table));
      if (shape !== undefined) drift.push(...compareColumns(shape, copy, table));
    }
  }
  for (const table of source) {
    const covered = listed.has(tableKey(table)) ||
      table.ancestors.some((ancestor) => listed.has(tableKey(ancestor)));
    if (covered || table.partitioned || applied.has(tableKey(table)) || !input.inScope(table)) {
      continue;
    }
    const copy = onTarget.get(tableKey(table));
    drift.push(copy === undefined ? added(table) : notPublished(table, input.isSkipped(table)));
  }
  for (const table of source) {
    const copy = onTarget.get(tableKey(table));
    if (copy !== undefined && listed.has(tableKey(table))) {
      drift.push(...comparePlaces(table, copy));
    }
  }
  const published = new Set([...listed.keys()].filter((key) => onTarget.has(key)));
  drift.push(...compareTypes(input.types, (table) => published.has(tableKey(table))));
  for (const table of subscribed) {
    if (!onSource.has(tableKey(table))) drift.push(dropped(table));
  }
  return drift;
}

function missing({ schema, name }: TableName): Drift {
  return {
    kind: "table-missing",
    schema,
    name,
    severity: "problem",
    message: `${displayName({ schema, name })} is published and not on the target: ` +
      "the next change of it stops the replication",
    remedy: "create it on the target with the source's definition, then sync --add-tables",
  };
}

function notSubscribed({ schema, name }: TableName): Drift {
  return {
    kind: "table-not-subscribed",
    schema,
    name,
    severity: "problem",
    message: `${displayName({ schema, name })} is published and not subscribed to: ` +
      "its changes are passed over",
    remedy: "sync --add-tables",
  };
}

function added({ schema, name }: TableName): Drift {
  return {
    kind: "table-added",
    schema,
    name,
    severity: "problem",
    message: `${displayName({ schema, name })} is new on the source; neither it nor its rows come`,
    remedy: `sync --add-tables ${quotedPattern({ schema, name })}, or leave it out by a rule`,
  };
}

function notPublished({ schema, name }: TableName, isSkipped: boolean): Drift {
  return {
    kind: "table-not-published",
    schema,
    name,
    severity: isSkipped ? "warning" : "problem",
    message: `${displayName({ schema, name })} is on both sides and not published: ` +
      `its changes do not come${isSkipped ? " (--replica-identity skip)" : ""}`,
    remedy: isSkipped
      ? "copy it again at the cutover, or give it a primary key and run sync --resnapshot"
      : `sync --resnapshot ${
        quotedPattern({ schema, name })
      } copies it again and lets it follow; ` +
        "sync --add-tables, if an interrupted one has left it; or leave it out by a rule",
  };
}

function dropped({ schema, name }: TableName): Drift {
  return {
    kind: "table-dropped",
    schema,
    name,
    severity: "warning",
    message: `${displayName({ schema, name })} is not on the source any more (dropped or renamed)`,
    remedy: "do the same on the target",
  };
}

/** Whether a table is in the same tree of partitions on both sides. */
function comparePlaces(source: TableShape, target: TableShape): readonly Drift[] {
  const { schema, name } = source;
  const path = ({ ancestors }: TableShape) => ancestors.map(displayName).sort();
  const [ours, theirs] = [path(source), path(target)];
  if (ours.join("\n") === theirs.join("\n")) return [];
  const where = (tables: readonly string[]) =>
    tables.length === 0 ? "no partition" : `a partition of ${tables.join(" and ")}`;
  return [{
    kind: "partition",
    schema,
    name,
    severity: "warning",
    message: `${displayName(source)} is ${where(ours)} on the source and ${
      where(theirs)
    } on the target`,
    remedy: "attach or detach it on the target as the source has it",
  }];
}

/** As `--add-tables` takes it. */
function quotedPattern({ schema, name }: TableName): string {
  const part = (text: string) =>
    /^[\p{Ll}_][\p{Ll}\p{Nd}_$]*$/u.test(text) ? text : quoteIdentifier(text);
  return `${part(schema)}.${part(name)}`;
}

function compareColumns(
  source: TableShape,
  target: TableShape,
  published: PublishedShape,
): readonly Drift[] {
  const drift: Drift[] = [];
  const { schema, name } = source;
  const table = displayName(source);
  const theirs = new Map(target.columns.map((column) => [column.name, column]));
  const ours = new Map(source.columns.map((column) => [column.name, column]));
  for (const column of source.columns) {
    const isPublished = published.columns?.includes(column.name) ?? !column.generated;
    const other = theirs.get(column.name);
    if (other === undefined && !(column.generated && !isPublished)) {
      drift.push({
        kind: "column-added",
        schema,
        name,
        column: column.name,
        severity: isPublished ? "problem" : "warning",
        message: isPublished
          ? `${table}: column ${column.name} ${column.type} is published and not on the target: the next change of the table stops ` +
            "the replication"
          : `${table}: column ${column.name} ${column.type} is new on the source and not published`,
        remedy: `on the target: ALTER TABLE ${quoteQualified(schema, name)} ADD COLUMN ${
          quoteIdentifier(column.name)
        } ${column.type}; replication resumes by itself, or with sync --retry`,
      });
    } else if (other !== undefined && other.type !== column.type) {
      drift.push({
        kind: "column-type",
        schema,
        name,
        column: column.name,
        severity: "warning",
        message: `${table}: column ${column.name} is ${column.type} on the source and ` +
          `${other.type} on the target`,
        remedy: `on the target: ALTER TABLE ${quoteQualified(schema, name)} ALTER COLUMN ${
          quoteIdentifier(column.name)
        } TYPE ${column.type};`,
      });
    }
    if (other?.notNull && !column.notNull && isPublished) {
      drift.push({
        kind: "column-not-null",
        schema,
        name,
        column: column.name,
        severity: "problem",
        message: `${table}: column ${column.name} may be NULL on the source alone: ` +
          "the next row with NULL stops the replication",
        remedy: `on the target: ALTER TABLE ${quoteQualified(schema, name)} ALTER COLUMN ${
          quoteIdentifier(column.name)
        } DROP NOT NULL;`,
      });
    }
  }
  for (const column of target.columns) {
    if (ours.has(column.name) || column.generated) continue;
    drift.push({
      kind: "column-dropped",
      schema,
      name,
      column: column.name,
      severity: "warning",
      message: `${table}: column ${column.name} is on the target alone`,
      remedy: "drop the column on the target; a NOT NULL there would stop the replication",
    });
  }
  return drift;
}
