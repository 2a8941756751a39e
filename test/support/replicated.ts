import { deepStrictEqual, ok } from "node:assert/strict";
import { query, withSession } from "./sql.ts";

/** A table to compare. */
export interface ComparedTable {
  /** The quoted name. */
  readonly name: string;
  /** Compares only rows that meet it; all rows by default. */
  readonly where?: string;
}

/** Quoted names of all ordinary tables and leaf partitions of a database. */
export async function tablesOf(url: string): Promise<readonly string[]> {
  const rows = await query<{ name: string }>(
    url,
    `SELECT format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema|seren)'
      ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

/**
 * Waits until every slot of the source's database has confirmed everything committed there so far.
 */
export async function drain(sourceUrl: string): Promise<void> {
  await withSession(sourceUrl, async (session) => {
    await session.unsafe("SELECT pg_logical_emit_message(true, 'test', 'end')").simple();
    const [mark] = await session.unsafe<{ lsn: string }[]>(
      "SELECT pg_current_wal_insert_lsn()::text AS lsn",
    ).simple();
    const deadline = performance.now() + 120_000;
    for (;;) {
      // the mark is confirmed only once more WAL follows it
      await session.unsafe("SELECT pg_logical_emit_message(true, 'test', 'more')").simple();
      const [row] = await session.unsafe<{ ok: boolean; slots: number }[]>(
        `SELECT coalesce(bool_and(confirmed_flush_lsn >= '${
          mark!.lsn
        }'), false) AS ok, count(*)::int AS slots
           FROM pg_replication_slots WHERE database = current_database()`,
      ).simple();
      if (row?.ok) return;
      ok(performance.now() < deadline, "the target has not caught up in time");
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  });
}

/**
 * Compares the rows of both sides as sorted text and reports those that differ.
 *
 * @param where conditions by quoted table name, applied on both sides
 */
export async function compareRows(
  sourceUrl: string,
  targetUrl: string,
  { where = {}, without = [] }: {
    /** Tables of the source. Additional tables of the target count as differences. */
    readonly where?: Readonly<Record<string, string>>;
    readonly without?: readonly string[];
  } = {},
): Promise<number> {
  const tables = (await tablesOf(sourceUrl)).filter((name) => !without.includes(name));
  let rows = 0;
  const differences: string[] = [];
  await withSession(sourceUrl, async (source) => {
    await withSession(targetUrl, async (target) => {
      for (const session of [source, target]) {
        await session.unsafe(
          "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET extra_float_digits = 3; SET bytea_output = 'hex'",
        ).simple();
      }
      for (const table of tables) {
        const read = (condition: string) =>
          `SELECT md5(t::text) AS row FROM ONLY ${table} AS t WHERE ${condition} ORDER BY 1`;
        const [there, here] = await Promise.all([
          source.unsafe<{ row: string }[]>(read(where[table] ?? "true")).simple(),
          target.unsafe<{ row: string }[]>(read("true")).simple(),
        ]);
        rows += there.length;
        const left = there.map(({ row }) => row);
        const right = here.map(({ row }) => row);
        if (left.length === right.length && left.every((row, at) => row === right[at])) continue;
        const missing = left.filter((row) => !right.includes(row)).length;
        const surplus = right.filter((row) => !left.includes(row)).length;
        differences.push(
          `${table}: ${left.length} and ${right.length} rows, ${missing} missing, ${surplus} that should not be`,
        );
      }
    });
  });
  deepStrictEqual(differences, []);
  return rows;
}
