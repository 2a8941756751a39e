/**
 * What a switch compares while writers wait, and what it leaves unchecked.
 *
 * @module
 */
import {
  ExitCode,
  plural,
  quoteQualified,
  ReplicatorError,
  type TableName,
} from "../../core/internal.ts";
import { type DatabaseRoute, nameOnSource } from "../../cutover/internal.ts";
import { openSession, type Session } from "../../postgres/internal.ts";
import type { CutoverSwitchOptions } from "./options.ts";
import type { FinalComparison } from "./report.ts";

/** What no switch can prevent. */
const uncheckedByFence: readonly string[] = [
  "nextval, and SELECT … FOR UPDATE, still work on the closed side",
  "large objects can still be written on the closed side: a session that writes nothing else is not stopped",
  "DDL still works on the closed side; an owner can drop or disable the fence",
  "unlogged tables, and tables out of scope, have no fence",
];

/**
 * What a switch does not prove; the report and the evidence say so. Contents are not compared while
 * writers wait: that a token has arrived proves that every change has, and reading the tables would
 * take longer than everything else.
 */
export function uncheckedBy(finalCheck: CutoverSwitchOptions["finalCheck"]): readonly string[] {
  return [
    ...uncheckedByFence,
    ...(finalCheck === "counts"
      ? []
      : ["the numbers of rows were not compared while writers waited (--final-check counts does)"]),
    "the contents of rows were not compared while writers waited (verify does, before or after)",
  ];
}

/** Compares while writers wait, and throws to abandon the switch. */
export function checkerFor(
  { finalCheck }: CutoverSwitchOptions,
  { signal: outer, compared }: {
    readonly signal: AbortSignal;
    readonly compared: Map<string, FinalComparison>;
  },
): (route: DatabaseRoute, signal: AbortSignal) => Promise<void> {
  return async (route, inner) => {
    const signal = AbortSignal.any([outer, inner]);
    await using from = await openSession(route.from, { signal });
    await using to = await openSession(route.to, { signal });
    const [here, there] = await Promise.all([
      readColumns(from, route.tables),
      readColumns(to, route.tables),
    ]);
    const changed = [...here].filter(([table, columns]) => there.get(table) !== columns);
    if (changed.length > 0) {
      throw new ReplicatorError(
        `the columns of ${
          changed.map(([table]) => table).join(", ")
        } differ from those on the other side`,
        {
          side: route.from.side,
          object: `database ${route.from.database}`,
          remedy:
            "DDL was run in the meantime: run it on the other side too (status shows the statement)",
          exitCode: ExitCode.mismatch,
        },
      );
    }
    const rows = finalCheck === "counts" ? await compareCounts(route.tables, { from, to }) : null;
    compared.set(nameOnSource(route), { tables: here.size, rows });
  };
}

async function readColumns(
  session: Session,
  tables: readonly TableName[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await session.query<{ readonly name: string; readonly columns: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
            pg_catalog.string_agg(pg_catalog.format('%I', a.attname), ',' ORDER BY a.attname COLLATE pg_catalog."C") AS columns
       FROM pg_catalog.pg_class AS c
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
       JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relkind IN ('r', 'p')
        AND (n.nspname, c.relname) IN (
              SELECT t.entry ->> 'schema', t.entry ->> 'name'
                FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) AS t (entry))
      GROUP BY 1`,
    [JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })))],
  );
  return new Map(rows.map(({ name, columns }) => [name, columns]));
}

/** Returns the number of rows of all tables. @throws ReplicatorError if any of them differs */
async function compareCounts(
  tables: readonly TableName[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<number> {
  const differing: string[] = [];
  let rows = 0;
  for (const { schema, name } of tables) {
    const statement = `SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ONLY ${
      quoteQualified(schema, name)
    }`;
    const [here, there] = await Promise.all([
      from.queryOne<{ readonly count: string }>(statement),
      to.queryOne<{ readonly count: string }>(statement),
    ]);
    rows += Number(here.count);
    if (here.count !== there.count) {
      differing.push(`${schema}.${name}: ${here.count} rows, ${there.count} on the other side`);
    }
  }
  if (differing.length === 0) return rows;
  throw new ReplicatorError(
    `${
      plural(differing.length, "table differs", "tables differ")
    } in the number of rows; writers continue`,
    {
      details: differing,
      remedy: "compare with verify; with row filters use --final-check structure",
      exitCode: ExitCode.mismatch,
    },
  );
}
