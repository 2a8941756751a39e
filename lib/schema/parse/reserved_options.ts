/**
 * Removes server-internal options from dumps. Pure.
 *
 * PostgreSQL's November 2026 minor releases (15.20 etc.) store `pg_attver` among the options of
 * every column. Their own pg_dump omits it; any other writes it, and servers of other minor
 * versions refuse it.
 *
 * @module
 */
import type { DumpStatement } from "./dump_reader.ts";
import { statementOptions, withoutOptions } from "./option_list.ts";

/** As in names of schemas and roles, this prefix is reserved. */
const reserved = /^pg_/;

/**
 * The statements without options that users cannot set; statements that do nothing else are
 * omitted.
 */
export function withoutReservedOptions(
  statements: readonly DumpStatement[],
): readonly DumpStatement[] {
  return statements.flatMap((statement) => {
    if (!setsColumnOptions.test(statement.sql)) return [statement];
    const reservedOptions = statementOptions(statement.sql).filter(({ name }) =>
      reserved.test(name)
    );
    if (reservedOptions.length === 0) return [statement];
    const sql = withoutOptions(statement.sql, reservedOptions);
    return sql === undefined ? [] : [{ ...statement, sql }];
  });
}

const setsColumnOptions = /^ALTER (?:FOREIGN )?TABLE .* ALTER COLUMN .* SET \(/s;
