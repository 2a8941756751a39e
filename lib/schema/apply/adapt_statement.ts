/**
 * Adapts a statement of a dump to the target's version and privileges. Pure.
 *
 * @module
 */
import { quoteIdentifier, quoteQualified } from "../../core/internal.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { SqlCursor } from "../parse/sql_cursor.ts";
import { parseCreateTable, type TableDefinition } from "../parse/table_definition.ts";

/** What the adaptation depends on. */
export interface SchemaTarget {
  /** Major version of the target. */
  readonly majorVersion: number;
  /** Whether the session's role is a superuser there. */
  readonly superuser: boolean;
  /** The statement with which a session there returns from another role to its own. */
  readonly resetRole: string;
}

/**
 * What to run instead of a statement, and what is lost by it.
 */
export interface AdaptedStatement {
  /** Undefined when there is nothing to run. */
  readonly sql: string | undefined;
  /** What is lost, for the report. */
  readonly note?: string;
}

/** Settings that pg_dump writes, and the major version that introduced them. */
const settingsSince: Readonly<Record<string, number>> = {
  transaction_timeout: 17,
};

/**
 * Adapts a statement to the target's version and privileges.
 *
 * Removed or rewritten for older targets: `SET transaction_timeout` (17), the MAINTAIN privilege
 * (17), `SET ACCESS METHOD` of a partitioned table (17), unlogged sequences (15), `SET COMPRESSION`
 * (14), the name of a range's multirange type (14), and NOT NULL as a table constraint (18). Any
 * other newer syntax stands for a feature that the older server lacks, and is an error there.
 */
export function adaptStatement(
  { sql, type, inOrder }: DumpStatement,
  { majorVersion, superuser, resetRole }: SchemaTarget,
): AdaptedStatement {
  if (inOrder !== undefined) return { sql: inOrder };
  const cursor = new SqlCursor(sql);
  if (cursor.words("set", "session", "authorization")) {
    if (superuser) return { sql };
    const role = cursor.literal() ?? cursor.identifier() ?? "";
    return { sql: `SET ROLE ${quoteIdentifier(role)};` };
  }
  if (cursor.words("reset", "session", "authorization")) {
    return { sql: superuser ? sql : resetRole };
  }
  if (type === undefined && cursor.words("set")) {
    const since = settingsSince[cursor.identifier() ?? ""];
    return { sql: since !== undefined && majorVersion < since ? undefined : sql };
  }
  if (majorVersion < 17 && cursor.words("grant")) return { sql: withoutMaintain(sql) };
  if (majorVersion < 17 && cursor.words("revoke")) return { sql: withoutMaintain(sql) };
  if (majorVersion < 15 && /^CREATE UNLOGGED SEQUENCE /.test(sql)) {
    return {
      sql: sql.replace("UNLOGGED ", ""),
      note: "created as a logged sequence: unlogged sequences require PostgreSQL 15",
    };
  }
  if (majorVersion < 14 && /^CREATE TYPE [^(]* AS RANGE \(/.test(sql)) {
    return { sql: withoutMultirange(sql) };
  }
  if (majorVersion < 18) {
    const table = parseCreateTable(sql);
    if (table?.items.some(({ notNullOf }) => notNullOf !== undefined)) {
      return { sql: withColumnsNotNull(table) };
    }
  }
  // REFRESH runs as the view's owner, to whom policies may apply, and fails with row_security off,
  // as dumps set it. Its query may depend on the database's own lc_monetary.
  if (cursor.words("refresh", "materialized", "view")) {
    return {
      sql: `SET row_security = on;\nSET lc_monetary TO DEFAULT;\n${sql}\n` +
        "SET row_security = off;\nSET lc_monetary = 'C';",
    };
  }
  if (cursor.words("alter", "table")) return alterTable(sql, cursor, majorVersion);
  return { sql };
}

/** NOT NULL constraints that the table itself adds to inherited columns follow as ALTER TABLE. */
function withColumnsNotNull({ table, opening, items, parents, tail }: TableDefinition): string {
  const name = quoteQualified(table.schema, table.name);
  const kept = items.filter(({ notNullOf }) => notNullOf === undefined);
  const from = parents.map(({ schema, name }) => quoteQualified(schema, name)).join(", ");
  return [
    `${opening} (${kept.map(({ text }) => text).join(", ")})` +
    `${from === "" ? "" : ` INHERITS (${from})`}${tail};`,
    ...items.flatMap(({ notNullOf }) =>
      notNullOf === undefined
        ? []
        : [`ALTER TABLE ONLY ${name} ALTER COLUMN ${quoteIdentifier(notNullOf)} SET NOT NULL;`]
    ),
  ].join("\n");
}

function alterTable(sql: string, cursor: SqlCursor, majorVersion: number): AdaptedStatement {
  cursor.words("only");
  cursor.qualified();
  if (majorVersion < 17 && cursor.words("set", "access", "method")) {
    return {
      sql: undefined,
      note:
        "access method not set: partitioned tables have one from PostgreSQL 17 on; partitions keep theirs",
    };
  }
  if (majorVersion < 14 && cursor.words("alter", "column")) {
    cursor.identifier();
    if (cursor.words("set", "compression")) {
      return {
        sql: undefined,
        note: "compression method not set: it requires PostgreSQL 14",
      };
    }
  }
  return { sql };
}

/** pg_dump writes the name of a range's multirange type on a line of its own. */
function withoutMultirange(sql: string): string {
  const name = `(?:"(?:[^"]|"")+"|[^\\s",]+)`;
  const option = `multirange_type_name = ${name}(?:\\.${name})?`;
  return sql.replace(new RegExp(`,\\n\\s*${option}(?=,?\\n)|\\n\\s*${option},`), "");
}

/**
 * pg_dump writes the privileges in upper case, before anything that could be quoted.
 */
function withoutMaintain(sql: string): string | undefined {
  const match = /^(GRANT|REVOKE)( GRANT OPTION FOR)? ([A-Z]+(?:\([^)]*\))?(?:,[A-Z]+)*)( ON )/.exec(
    sql,
  );
  const privileges = match?.[3]?.split(",");
  if (match === null || privileges === undefined || !privileges.includes("MAINTAIN")) return sql;
  const kept = privileges.filter((privilege) => privilege !== "MAINTAIN");
  if (kept.length === 0) return undefined;
  return `${match[1]}${match[2] ?? ""} ${kept.join(",")}${match[4]}${sql.slice(match[0].length)}`;
}
