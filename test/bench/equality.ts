import { type Row, withSession } from "../support/sql.ts";

/** The contents of a database: row counts by table, number of indexes and constraints. */
export type Census = ReadonlyMap<string, number>;

const objects = `
  SELECT 'indexes' AS what, count(*)::int AS n FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS s ON s.oid = c.relnamespace
   WHERE s.nspname = 'public' AND i.indisvalid
  UNION ALL
  SELECT 'constraints', count(*)::int FROM pg_constraint AS k
    JOIN pg_namespace AS s ON s.oid = k.connamespace
   WHERE s.nspname = 'public' AND k.convalidated`;

const tables = `
  SELECT c.relname AS name FROM pg_class AS c JOIN pg_namespace AS s ON s.oid = c.relnamespace
   WHERE s.nspname = 'public' AND c.relkind = 'r' ORDER BY 1`;

const batch = 200;

/** Counts everything in schema `public`. */
export async function census(url: string): Promise<Census> {
  return await withSession(url, async (session) => {
    const names = (await session.unsafe<{ name: string }[]>(tables)).map(({ name }) => name);
    const counted: Row[] = [...await session.unsafe(objects)];
    for (let from = 0; from < names.length; from += batch) {
      const counts = names.slice(from, from + batch)
        .map((name) => `SELECT 'rows of ${name}' AS what, count(*)::int AS n FROM "${name}"`);
      counted.push(...await session.unsafe(counts.join(" UNION ALL ")));
    }
    return new Map(counted.map(({ what, n }) => [String(what), Number(n)]));
  });
}

/** A description of the differences; empty if there are none. */
export function differences(
  source: Census,
  target: Census,
  { rowsOnly }: { readonly rowsOnly: boolean },
): readonly string[] {
  return [...new Set([...source.keys(), ...target.keys()])]
    .filter((what) => !rowsOnly || what.startsWith("rows of"))
    .filter((what) => source.get(what) !== target.get(what))
    .map((what) => `${what}: ${source.get(what) ?? "none"} and ${target.get(what) ?? "none"}`);
}
