/**
 * Reads and sets sequences.
 *
 * @module
 */
import {
  ownSchemaList,
  quoteLiteral,
  quoteQualified,
  type TableName,
} from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { notOfExtension } from "../extension_members.ts";

/** A sequence, including those of `serial` and identity columns. */
export type Sequence = TableName & {
  readonly oid: number;
  /** The table and column that own it. */
  readonly ownedBy: TableName & { readonly column: string } | undefined;
  readonly isIdentity: boolean;
  readonly isUnlogged: boolean;
  /** Whether the role may read its value. */
  readonly readable: boolean;
};

/** A sequence's value. */
export type SequenceValue = TableName & {
  readonly lastValue: bigint;
  /** Whether `nextval` has returned `lastValue`. */
  readonly isCalled: boolean;
};

const listStatement = `
  SELECT n.nspname AS schema, c.relname AS name, c.oid,
         c.relpersistence = 'u' AS is_unlogged,
         pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
           AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS readable,
         owner_schema.nspname AS owner_schema, owner.relname AS owner_table,
         owner_column.attname AS owner_column,
         coalesce(owning.deptype = 'i', false) AS is_identity
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_depend AS owning
           ON owning.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND owning.objid = c.oid AND owning.objsubid = 0
          AND owning.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND owning.refobjsubid > 0
          AND owning.deptype IN ('a', 'i')
    LEFT JOIN pg_catalog.pg_class AS owner ON owner.oid = owning.refobjid
    LEFT JOIN pg_catalog.pg_namespace AS owner_schema ON owner_schema.oid = owner.relnamespace
    LEFT JOIN pg_catalog.pg_attribute AS owner_column
           ON owner_column.attrelid = owning.refobjid AND owner_column.attnum = owning.refobjsubid
   WHERE c.relkind = 'S' AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})
     AND (EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE c.oid = ANY (e.extconfig))
          OR ${notOfExtension("pg_class", "c.oid")})
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

type SequenceRow = {
  readonly schema: string;
  readonly name: string;
  readonly oid: number;
  readonly is_unlogged: boolean;
  readonly readable: boolean;
  readonly owner_schema: string | null;
  readonly owner_table: string | null;
  readonly owner_column: string | null;
  readonly is_identity: boolean;
};

/** All sequences of the database, by schema and name. */
export async function listSequences(session: Session): Promise<readonly Sequence[]> {
  const rows = await session.query<SequenceRow>(listStatement);
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    oid: row.oid,
    isUnlogged: row.is_unlogged,
    readable: row.readable,
    isIdentity: row.is_identity,
    ownedBy: row.owner_schema === null || row.owner_table === null || row.owner_column === null
      ? undefined
      : { schema: row.owner_schema, name: row.owner_table, column: row.owner_column },
  }));
}

/** Sequences per statement: more could exceed the server's stack depth. */
const batchSize = 500;

/**
 * Reads the values of sequences, in the given order. `pg_sequence_last_value` is not sufficient: it
 * hides the value of a sequence that was set but not yet called.
 *
 * @throws ServerError when one is not readable
 */
export async function readSequenceValues(
  session: Session,
  sequences: readonly TableName[],
): Promise<readonly SequenceValue[]> {
  const values: SequenceValue[] = [];
  for (let from = 0; from < sequences.length; from += batchSize) {
    const batch = sequences.slice(from, from + batchSize);
    const rows = await session.query<{ position: number; last_value: string; is_called: boolean }>(
      sequenceValuesStatement(batch),
    );
    for (const { position, last_value, is_called } of rows) {
      const { schema, name } = batch[position]!;
      values.push({ schema, name, lastValue: BigInt(last_value), isCalled: is_called });
    }
  }
  return values;
}

/** One statement that reads several sequences. */
function sequenceValuesStatement(sequences: readonly TableName[]): string {
  return sequences
    .map(({ schema, name }, position) =>
      `SELECT ${position} AS position, last_value, is_called FROM ${quoteQualified(schema, name)}`
    )
    .join("\nUNION ALL\n") + "\nORDER BY position";
}

/** One idempotent statement per sequence that sets its value. */
export function setvalStatements(values: readonly SequenceValue[]): readonly string[] {
  return values.map(({ schema, name, lastValue, isCalled }) => {
    const sequence = quoteLiteral(quoteQualified(schema, name)).trim();
    return `SELECT pg_catalog.setval(${sequence}::pg_catalog.regclass, ${lastValue}, ${isCalled})`;
  });
}
