/**
 * What a switch compares while writers wait, and what it leaves unchecked.
 *
 * @module
 */
import {
  displayName,
  ExitCode,
  ownSchemas,
  plural,
  quoteQualified,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { type DatabaseRoute, nameOnSource } from "../../cutover/internal.ts";
import { openSession, type Session, textArray } from "../../postgres/internal.ts";
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

/** Compares a database while writers wait, and throws to abandon the switch. */
export type RouteCheck = (route: DatabaseRoute, signal: AbortSignal) => Promise<void>;

/**
 * The check of a switch. Columns whose types differ between the sides already are accepted: a
 * target may have wider ones on purpose.
 *
 * @param options `routes`: the databases that will be checked, before the switch begins
 */
export async function checkerFor(
  { finalCheck }: CutoverSwitchOptions,
  { routes, signal, compared }: {
    readonly routes: readonly DatabaseRoute[];
    readonly signal: AbortSignal;
    /** Receives what the last check compared, by database. */
    readonly compared: Map<string, FinalComparison>;
  },
): Promise<RouteCheck> {
  const accepted = new Map<string, ReadonlySet<string>>();
  for (const route of routes) {
    await using from = await retry(() => openSession(route.from, { signal }), { signal });
    await using to = await retry(() => openSession(route.to, { signal }), { signal });
    const { differences } = await compareColumns(route.tables, { from, to });
    accepted.set(nameOnSource(route), new Set(differences.map(({ text }) => text)));
  }
  return async (route, signal) => {
    await using from = await openSession(route.from, { signal });
    await using to = await openSession(route.to, { signal });
    const { tables, differences } = await compareColumns(route.tables, { from, to });
    const before = accepted.get(nameOnSource(route));
    const changed = differences.filter(({ text, isOnBoth }) => !isOnBoth || !before?.has(text));
    if (changed.length > 0) {
      throw new ReplicatorError(
        `the columns of ${
          [...new Set(changed.map(({ table }) => table))].join(", ")
        } differ from those on the other side`,
        {
          side: route.from.side,
          object: `database ${route.from.database}`,
          details: [
            ...changed.slice(0, maxListed).map(({ text }) => text),
            ...(changed.length > maxListed ? ["…"] : []),
          ],
          remedy:
            "DDL was run in the meantime: run it on the other side too (status shows the statement)",
          exitCode: ExitCode.mismatch,
        },
      );
    }
    await refuseCreated(from, route);
    const rows = finalCheck === "counts" ? await compareCounts(route.tables, { from, to }) : null;
    compared.set(nameOnSource(route), { tables, rows });
  };
}

/**
 * A job may create the partition of the next day after the preflight: no stream carries its rows.
 * The barrier keeps others from being created. Of the target, only partitions matter: other tables
 * that were created there are announced, and do not stop the way back.
 */
async function refuseCreated(
  session: Session,
  { tables, fromRecord: { details: { leftOut } } }: DatabaseRoute,
) {
  const found = await session.query<CreatedTable>(createdStatement, [
    JSON.stringify([...tables, ...leftOut].map(({ schema, name }) => ({ schema, name }))),
    textArray(ownSchemas),
  ]);
  const isSource = session.side === "source";
  const carried = new Set(tables.map((table) => tableKey(table)));
  const created = isSource
    ? found
    : found.filter(({ parent_schema, parent_name }) =>
      parent_schema !== null && parent_name !== null &&
      carried.has(tableKey({ schema: parent_schema, name: parent_name }))
    );
  if (created.length === 0) return;
  throw new ReplicatorError(
    `${
      isSource ? "tables" : "partitions of replicated tables"
    } were created in the meantime, and no stream carries their rows: ${
      created.slice(0, maxListed).map((table) => displayName(table)).join(", ")
    }${created.length > maxListed ? ", …" : ""}`,
    {
      side: session.side,
      object: `database ${session.endpoint.database}`,
      remedy: isSource
        ? "run sync --add-tables, then cutover prepare again; to leave them out, run cutover prepare only"
        : "run the same command again: it says what to do about them",
      exitCode: ExitCode.mismatch,
    },
  );
}

type CreatedTable = TableName & {
  /** Of the topmost partitioned table above a partition. */
  readonly parent_schema: string | null;
  readonly parent_name: string | null;
};

const maxListed = 10;

const createdStatement = `
  SELECT n.nspname AS schema, c.relname AS name, pn.nspname AS parent_schema, p.relname AS parent_name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class AS p
           ON c.relispartition AND p.oid = pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid
    LEFT JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
   WHERE c.relkind = 'r' AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND n.nspname <> ALL ($2::pg_catalog.name[])
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
     AND (n.nspname, c.relname) NOT IN (
           SELECT (t.entry ->> 'schema')::pg_catalog.name, (t.entry ->> 'name')::pg_catalog.name
             FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) AS t (entry))
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

/** A column that is not the same on both sides. */
interface ColumnDifference {
  readonly table: string;
  /** Describes it. */
  readonly text: string;
  /** Whether both sides have the column. */
  readonly isOnBoth: boolean;
}

/** Compares columns by their names, types, NOT NULL, and how they are generated. */
async function compareColumns(
  tables: readonly TableName[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<{ readonly tables: number; readonly differences: readonly ColumnDifference[] }> {
  const [here, there] = await Promise.all([readColumns(from, tables), readColumns(to, tables)]);
  const differences = [...here].flatMap(([table, columns]) => {
    const others = there.get(table) ?? new Map<string, string>();
    return [...new Set([...columns.keys(), ...others.keys()])].flatMap(
      (column): readonly ColumnDifference[] => {
        const [own, other] = [columns.get(column), others.get(column)];
        if (own === other) return [];
        return [{
          table,
          text: `${table}.${column}: ${own ?? "missing"} on the ${from.side}, ${
            other ?? "missing"
          } on the ${to.side}`,
          isOnBoth: own !== undefined && other !== undefined,
        }];
      },
    );
  });
  return { tables: here.size, differences };
}

/** Definitions of columns, by table and column. */
async function readColumns(
  session: Session,
  tables: readonly TableName[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const rows = await session.query<
    { readonly name: string; readonly columns: Readonly<Record<string, string>> }
  >(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
            pg_catalog.jsonb_object_agg(
              pg_catalog.quote_ident(a.attname),
              pg_catalog.format_type(a.atttypid, a.atttypmod)
                || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
                || CASE a.attidentity WHEN 'a' THEN ' GENERATED ALWAYS AS IDENTITY'
                                      WHEN 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY' ELSE '' END
                || CASE WHEN a.attgenerated = '' THEN '' ELSE ' GENERATED ALWAYS' END) AS columns
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
  return new Map(rows.map(({ name, columns }) => [name, new Map(Object.entries(columns))]));
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
