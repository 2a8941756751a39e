/**
 * What DDL has changed on one side since the copy: replication does not carry it over. Pure.
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
import { type Drift, forwardSides, type StreamSides } from "./drift.ts";
import type { PublishedShape, TableShape } from "./table_shape.ts";
import { compareTypes, type ReplicatedTypeShape } from "./type_drift.ts";

/** What {@linkcode compareShapes} compares. */
export interface DriftInput {
  readonly source: readonly TableShape[];
  readonly target: readonly TableShape[];
  /** Tables that publications with a stream list. */
  readonly published: readonly PublishedShape[];
  /** Tables that the target's subscriptions follow. */
  readonly subscribed: readonly TableName[];
  /** Types that columns of the tables use, on each side. */
  readonly types: {
    readonly source: readonly ReplicatedTypeShape[];
    readonly target: readonly ReplicatedTypeShape[];
  };
  /** Whether the rules include a table's rows. */
  readonly inScope: (table: TableName) => boolean;
  /** Whether the user chose not to replicate a table's changes. */
  readonly isSkipped: (table: TableName) => boolean;
  /** What `source` and `target` are called. Default: `forwardSides`. */
  readonly sides?: StreamSides;
}

/** Compares both sides. */
export function compareShapes(input: DriftInput): readonly Drift[] {
  const { source, target, published: publications, subscribed } = input;
  const sides = input.sides ?? forwardSides;
  const onSource = new Map(source.map((table) => [tableKey(table), table]));
  const onTarget = new Map(target.map((table) => [tableKey(table), table]));
  const listed = new Map(publications.map((table) => [tableKey(table), table]));
  const applied = new Set(subscribed.map(tableKey));
  const drift: Drift[] = [];
  for (const [key, table] of listed) {
    const shape = onSource.get(key);
    const copy = onTarget.get(key);
    if (copy === undefined) drift.push(missing(table, sides));
    else {
      if (!applied.has(key)) drift.push(notSubscribed(table));
      if (shape !== undefined) {
        drift.push(...compareColumns(shape, copy, { published: table, sides }));
      }
    }
  }
  for (const table of source) {
    const covered = listed.has(tableKey(table)) ||
      table.ancestors.some((ancestor) => listed.has(tableKey(ancestor)));
    if (covered || table.partitioned || applied.has(tableKey(table)) || !input.inScope(table)) {
      continue;
    }
    const copy = onTarget.get(tableKey(table));
    drift.push(
      copy === undefined ? added(table, sides) : notPublished(table, input.isSkipped(table)),
    );
  }
  for (const table of source) {
    const copy = onTarget.get(tableKey(table));
    if (copy !== undefined && listed.has(tableKey(table))) {
      drift.push(...comparePlaces(table, copy, sides));
    }
  }
  const published = new Set([...listed.keys()].filter((key) => onTarget.has(key)));
  drift.push(...compareTypes(input.types, {
    isPublished: (table) => published.has(tableKey(table)),
    sides,
  }));
  for (const table of subscribed) {
    if (!onSource.has(tableKey(table))) drift.push(dropped(table, sides));
  }
  return drift;
}

function missing({ schema, name }: TableName, { from, to }: StreamSides): Drift {
  return {
    kind: "table-missing",
    schema,
    name,
    severity: "problem",
    message: `${displayName({ schema, name })} is published but missing on the ${to}: ` +
      "its next change stops replication",
    remedy: `create it on the ${to} with the ${from}'s definition, then sync --add-tables`,
  };
}

function notSubscribed({ schema, name }: TableName): Drift {
  return {
    kind: "table-not-subscribed",
    schema,
    name,
    severity: "problem",
    message: `${displayName({ schema, name })} is published but not subscribed: ` +
      "its changes are not applied",
    remedy: "sync --add-tables",
  };
}

function added({ schema, name }: TableName, { from }: StreamSides): Drift {
  return {
    kind: "table-added",
    schema,
    name,
    severity: "problem",
    message: `${
      displayName({ schema, name })
    } is new on the ${from}; neither the table nor its rows are replicated`,
    remedy: `sync --add-tables ${exactPattern({ schema, name })}, or exclude it`,
  };
}

function notPublished({ schema, name }: TableName, isSkipped: boolean): Drift {
  return {
    kind: "table-not-published",
    schema,
    name,
    severity: isSkipped ? "warning" : "problem",
    message: `${displayName({ schema, name })} is on both sides but not published: ` +
      `its changes are not replicated${isSkipped ? " (--replica-identity skip)" : ""}`,
    remedy: isSkipped
      ? "copy it again at the cutover, or give it a primary key and run sync --resnapshot"
      : `sync --resnapshot ${exactPattern({ schema, name })} copies it again and replicates it; ` +
        "sync --add-tables if an interrupted run has left it; or exclude it",
  };
}

function dropped({ schema, name }: TableName, { from, to }: StreamSides): Drift {
  return {
    kind: "table-dropped",
    schema,
    name,
    severity: "warning",
    message: `${
      displayName({ schema, name })
    } no longer exists on the ${from} (dropped or renamed)`,
    remedy: `drop or rename it on the ${to} as well`,
  };
}

/** Whether a table is a partition of the same tables on both sides. */
function comparePlaces(
  source: TableShape,
  target: TableShape,
  { from, to }: StreamSides,
): readonly Drift[] {
  const { schema, name } = source;
  const path = ({ ancestors }: TableShape) => ancestors.map(displayName).sort();
  const [onSource, onTarget] = [path(source), path(target)];
  if (onSource.join("\n") === onTarget.join("\n")) return [];
  const where = (tables: readonly string[]) =>
    tables.length === 0 ? "no partition" : `a partition of ${tables.join(" and ")}`;
  return [{
    kind: "partition",
    schema,
    name,
    severity: "warning",
    message: `${displayName(source)} is ${where(onSource)} on the ${from} and ${
      where(onTarget)
    } on the ${to}`,
    remedy: `attach or detach it on the ${to} to match the ${from}`,
  }];
}

/** The name as `--add-tables` accepts it. */
function exactPattern({ schema, name }: TableName): string {
  const part = (text: string) =>
    /^[\p{Ll}_][\p{Ll}\p{Nd}_$]*$/u.test(text) ? text : quoteIdentifier(text);
  return `${part(schema)}.${part(name)}`;
}

function compareColumns(
  source: TableShape,
  target: TableShape,
  { published, sides: { from, to } }: {
    readonly published: PublishedShape;
    readonly sides: StreamSides;
  },
): readonly Drift[] {
  const drift: Drift[] = [];
  const { schema, name } = source;
  const table = displayName(source);
  const onTarget = new Map(target.columns.map((column) => [column.name, column]));
  const onSource = new Set(source.columns.map((column) => column.name));
  for (const column of source.columns) {
    const isPublished = published.columns?.includes(column.name) ?? !column.generated;
    const other = onTarget.get(column.name);
    if (other === undefined && !(column.generated && !isPublished)) {
      drift.push({
        kind: "column-added",
        schema,
        name,
        column: column.name,
        severity: isPublished ? "problem" : "warning",
        message: isPublished
          ? `${table}: column ${column.name} ${column.type} is published but missing on the ${to}: the table's next change ` +
            "stops replication"
          : `${table}: column ${column.name} ${column.type} is new on the ${from} but not published`,
        remedy: `on the ${to}: ALTER TABLE ${quoteQualified(schema, name)} ADD COLUMN ${
          quoteIdentifier(column.name)
        } ${column.type}; replication resumes automatically, or with sync --retry`,
      });
    } else if (other !== undefined && other.type !== column.type) {
      drift.push({
        kind: "column-type",
        schema,
        name,
        column: column.name,
        severity: "warning",
        message: `${table}: column ${column.name} is ${column.type} on the ${from} and ` +
          `${other.type} on the ${to}`,
        remedy: `on the ${to}: ALTER TABLE ${quoteQualified(schema, name)} ALTER COLUMN ${
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
        message: `${table}: column ${column.name} may be NULL on the ${from} only: ` +
          "the next row with NULL stops replication",
        remedy: `on the ${to}: ALTER TABLE ${quoteQualified(schema, name)} ALTER COLUMN ${
          quoteIdentifier(column.name)
        } DROP NOT NULL;`,
      });
    }
  }
  for (const column of target.columns) {
    if (onSource.has(column.name) || column.generated) continue;
    drift.push({
      kind: "column-dropped",
      schema,
      name,
      column: column.name,
      severity: "warning",
      message: `${table}: column ${column.name} exists on the ${to} only`,
      remedy: `drop the column on the ${to}; a NOT NULL there would stop replication`,
    });
  }
  return drift;
}
