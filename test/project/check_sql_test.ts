/** `deno task sql` finds unqualified names in SQL, and nothing else. */
import { deepStrictEqual } from "node:assert/strict";
import { namesOf } from "../../scripts/sql/product_names.ts";

/** The unqualified names in the string literals of TypeScript code. */
function unqualified(source: string): readonly string[] {
  return namesOf("x.ts", source)
    .filter(({ schema }) => schema === undefined)
    .map(({ kind, name, line }) => `${line} ${kind} ${name}`);
}

const faulty: Readonly<Record<string, readonly string[]>> = {
  '"SELECT count(*) FROM pg_class"': ["1 function count", "1 relation pg_class"],
  "`SELECT 1\n FROM pg_catalog.pg_class AS c, pg_proc\n JOIN ONLY pg_type ON true`": [
    "2 relation pg_proc",
    "3 relation pg_type",
  ],
  '"SELECT $1::text, a::oid[], CAST(b AS json), c::int, d::pg_catalog.name"': [
    "1 type text",
    "1 type oid",
    "1 type json",
  ],
  "`SELECT ${names.map((name) => `lower(${name})`)} FROM ${table}`": ["1 function lower"],
  '"SELECT substring(a, 1, 2), substring(b FROM 1), substring(b FOR 2), unnest(c)"': [
    "1 function substring",
    "1 function unnest",
  ],
  "\"SELECT 'pg_class'::pg_catalog.regclass, date '2000-01-01'\"": [
    "1 relation 'pg_class'",
    "1 type date",
  ],
  '"ORDER BY a COLLATE \\"C\\""': ["1 collation C"],
  '"DO $$ BEGIN PERFORM pg_sleep(1); END $$"': ["1 function pg_sleep"],
  "\"SELECT pg_catalog.format('SELECT now() FROM %I', 'a')\"": ["1 function now"],
  '"UPDATE x SET a = 1"': ["1 relation x"],
  '"INSERT INTO x (a) VALUES (1)"': ["1 relation x"],
  'const a = "SELECT " +\n "max(a)"': ["2 function max"],
  'const fragment = "coalesce(max(a), 0)"': ["1 function max"],
};

const sound = [
  `"WITH RECURSIVE up (oid) AS (SELECT 1) SELECT oid FROM up JOIN pg_catalog.pg_class AS c (a, b) ON true"`,
  `"SELECT extract(epoch FROM a) FROM s.t WHERE a IS DISTINCT FROM b FOR UPDATE"`,
  `"SELECT * FROM unnest($1::int[], $2::boolean[]) AS new (a, b)"`,
  `"COPY s.t (a) FROM STDIN (FORMAT csv)"`,
  `"REVOKE ALL ON ALL TABLES IN SCHEMA s FROM PUBLIC"`,
  "`SELECT ${call}(a) FROM ${table} AS t (x) WHERE a IN (SELECT 1) AND (b)`",
  `"UPDATE and DELETE would fail; let a superuser (or the owner) come from the other side"`,
  `// SELECT count(*) FROM pg_class\nconst pattern = /"SELECT now()/; const a = "x"`,
  `"INSERT INTO s.t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a"`,
];

for (const [source, expected] of Object.entries(faulty)) {
  Deno.test(`unqualified names are found: ${source.split("\n")[0]}`, () => {
    deepStrictEqual(unqualified(source), expected);
  });
}

Deno.test("syntax, aliases, WITH queries and prose are not reported", () => {
  for (const source of sound) deepStrictEqual(unqualified(source), [], source);
});
