/**
 * What servers keep in their catalogs for themselves, left out of dumps. Pure.
 *
 * PostgreSQL's November 2026 updates (15.20 and its siblings) store `pg_attver` among the options
 * of every column. Their own pg_dump omits it; any other prints it, and servers of other minor
 * versions refuse it.
 *
 * @module
 */
import type { DumpStatement } from "./dump_reader.ts";
import { statementOptions, withoutOptions } from "./option_list.ts";

/** As with names of schemas and roles, this prefix is the server's own. */
const reserved = /^pg_/;

/**
 * The statements without options that users cannot set; a statement that does nothing else is left
 * out.
 */
export function withoutReservedOptions(
  statements: readonly DumpStatement[],
): readonly DumpStatement[] {
  return statements.flatMap((statement) => {
    if (!setsColumnOptions.test(statement.sql)) return [statement];
    const unwanted = statementOptions(statement.sql).filter(({ name }) => reserved.test(name));
    if (unwanted.length === 0) return [statement];
    const sql = withoutOptions(statement.sql, unwanted);
    return sql === undefined ? [] : [{ ...statement, sql }];
  });
}

const setsColumnOptions = /^ALTER (?:FOREIGN )?TABLE .* ALTER COLUMN .* SET \(/s;
