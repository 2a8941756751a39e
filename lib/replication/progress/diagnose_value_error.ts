/**
 * Values of a transaction that the target's columns and types do not accept, found by comparing the
 * catalogs of both sides.
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
import type { PendingTransaction, RowChange } from "./next_transaction.ts";
import {
  compareAttributes,
  compareLabels,
  readTypes,
  type ReplicatedTypeShape,
} from "../drift/type_drift.ts";

type Column = {
  readonly name: string;
  readonly not_null: boolean;
  /** Whether rows without the column get a value. */
  readonly has_default: boolean;
  /** The maximum length in characters of `varchar(n)` and `char(n)`. */
  readonly limit: number | null;
};

const columnsStatement = `
  SELECT a.attname AS name, a.attnotnull AS not_null,
         a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' AS has_default,
         CASE WHEN a.atttypmod > 4 AND a.atttypid IN ('pg_catalog.varchar'::pg_catalog.regtype,
                                                      'pg_catalog.bpchar'::pg_catalog.regtype)
              THEN a.atttypmod - 4 END AS limit
    FROM pg_catalog.pg_attribute AS a
   WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`;

/** Finds values that the target would reject, each with a statement that makes it accept them. */
export async function findValueErrors(
  { source, target, transaction: { changes } }: {
    readonly source: Session;
    readonly target: Session;
    readonly transaction: PendingTransaction;
  },
): Promise<readonly string[]> {
  const rows = changes.filter(({ next }) => next !== undefined);
  if (rows.length === 0) return [];
  const found: string[] = [];
  const types = { source: await readTypes(source), target: await readTypes(target) };
  for (const change of rows) {
    const { table: { schema, name } } = change;
    const columns = await target.query<Column>(columnsStatement, [quoteQualified(schema, name)]);
    found.push(...refusedByColumns(change, columns), ...refusedByTypes(change, types));
  }
  return [...new Set(found)];
}

function refusedByColumns(
  { table, operation, next = {} }: RowChange,
  columns: readonly Column[],
): readonly string[] {
  const { schema, name } = table;
  const alter = (column: string) =>
    `ALTER TABLE ${quoteQualified(schema, name)} ALTER COLUMN ${quoteIdentifier(column)}`;
  return columns.flatMap(({ name: column, not_null, has_default, limit }) => {
    const value = next[column];
    const isMissing = value === undefined && operation === "insert" && !has_default;
    if (not_null && (value === null || isMissing)) {
      return [
        `${
          displayName(table)
        }.${column} is NOT NULL on the target, and the row has no value for it: ${
          alter(column)
        } DROP NOT NULL;`,
      ];
    }
    return limit !== null && typeof value === "string" && [...value.trimEnd()].length > limit
      ? [
        `${
          displayName(table)
        }.${column} is limited to ${limit} characters on the target, and the row's value is longer: ${
          alter(column)
        } TYPE … with the length of the source;`,
      ]
      : [];
  });
}

function refusedByTypes(
  { table, next = {} }: RowChange,
  { source, target }: {
    readonly source: readonly ReplicatedTypeShape[];
    readonly target: readonly ReplicatedTypeShape[];
  },
): readonly string[] {
  const onTarget = new Map(target.map((type) => [tableKey(type), type]));
  return source.flatMap((type) => {
    const other = onTarget.get(tableKey(type));
    if (other === undefined || other.kind !== type.kind) return [];
    const values = type.usedBy.filter((user) => isSame(user, table)).flatMap(({ column }) =>
      next[column] ?? []
    );
    if (values.length === 0) return [];
    const words = new Set(values.flatMap(valueWords));
    const differences = type.kind === "enum"
      ? compareLabels(type, other).filter(({ label }) => words.has(label))
      : type.kind === "composite"
      ? compareAttributes(type, other)
      : [];
    return differences.map(({ reason, statement }) => `${reason}: ${statement}`);
  });
}

const isSame = (a: TableName, b: TableName) => a.schema === b.schema && a.name === b.name;

/** The text itself, and its elements if it is an array, range or row. */
function valueWords(text: string): readonly string[] {
  return [text, ...text.replace(/\\(.)/gs, "$1").split(/[{}()\[\],"]+/)];
}
