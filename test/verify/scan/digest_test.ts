/**
 * Row hashes distinguish different rows and are the same in every version. Uses the statements that
 * verify() sends, one row at a time.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { pinnedSettings } from "../../../lib/postgres/session/settings.ts";
import { rowHash } from "../../../lib/verify/scan/digest.ts";
import { type ComparedColumn, pairColumns } from "../../../lib/verify/plan/columns.ts";
import { readRelations } from "../../../lib/verify/plan/relations.ts";
import { openSession, type Session } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { endpointOf } from "../../support/init.ts";
import { exec, query } from "../../support/sql.ts";
import { runVerify, unequalTables } from "../../support/verify.ts";

const clusters = await Promise.all(
  ([12, 15, 16, 18] as const).map((major) => sharedCluster(major)),
);

/** Values of a type that could be confused with each other. */
const values: Readonly<Record<string, readonly string[]>> = {
  "int2": ["0", "1", "-1", "-32768"],
  "int4": ["0", "1", "-1", "-2147483648"],
  "int8": ["0", "1", "-1", "4294967296", "-9223372036854775808", "9223372036854775807"],
  "oid": ["0", "1", "4294967295"],
  "bool": ["f", "t"],
  '"char"': ["", "a", "b"],
  "date": ["2000-01-01", "1999-12-31", "infinity", "-infinity", "4713-01-01 BC"],
  "time": ["00:00", "24:00", "00:00:00.000001"],
  "timetz": ["00:00+00", "01:00+01"],
  "timestamp": [
    ...["epoch", "2000-01-01", "infinity", "-infinity", "294276-12-31 23:59:59.999999"],
    ...["1860-01-01", "1860-01-01 00:00:00.000001", "1859-12-31 23:59:59.999999", "4713-01-01 BC"],
  ],
  "timestamptz": [
    ...["epoch", "2000-01-01 00:00Z", "2000-01-01 00:00:00.000001Z", "infinity", "-infinity"],
    ...["1860-01-01 00:00Z", "1860-01-01 00:00:00.000001Z", "2131-12-31 23:59:59.999999Z"],
    ...["2132-01-01 00:00Z", "294276-12-31 23:59:59.999998Z", "294276-12-31 23:59:59.999999Z"],
  ],
  "interval": ["0", "1 mon", "30 days", "720:00:00", "-1 mon"],
  "float4": ["0", "-0", "NaN", "Infinity", "-Infinity", "1.17549435e-38", "1e-45", "-1"],
  "float8": ["0", "-0", "NaN", "Infinity", "-Infinity", "5e-324", "0.1", "0.10000000000000002"],
  "numeric": ["0", "0.0", "NaN", "1", "-1", "1.0", "10000", "1e10", "1e-10"],
  "numeric(12,2)": ["0", "1", "-1", "10000", "-10000", "0.01", "-0.01", "100.01", "NaN"],
  "numeric(4,4)": ["0", "0.1", "-0.1", "0.0001", "NaN"],
  "money": ["0", "1", "-1"],
  "text": ["", " ", "a", "A", "a ", "ä", "a\u0308", "\\x00", "NULL"],
  "varchar(9)": ["", "a", "a "],
  "bpchar": ["", "a", "a "],
  "char(3)": ["", "a", "ab"],
  "name": ["", "a", "a "],
  "bytea": ["", "\\x00", "\\x0000", "\\x61"],
  "uuid": ["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"],
  "json": ["{}", "{ }", "null"],
  "jsonb": ["{}", "[]", "null", '"null"', '{"a": 1}', '{"a": 1.0}'],
  "inet": ["10.0.0.1", "10.0.0.1/8", "::1"],
  "cidr": ["10.0.0.1/32", "10.0.0.0/8"],
  "macaddr": ["08:00:2b:01:02:03", "08:00:2b:01:02:04"],
  "bit(3)": ["000", "001"],
  "varbit": ["", "0", "00", "1"],
  "point": ["(0,0)", "(0,1)", "(-0,0)"],
  "pg_lsn": ["0/0", "0/1", "1/0"],
  "tsvector": ["", "a", "a:1", "a:1A"],
  "int4[]": ["{}", "{0}", "{NULL}", "{0,0}", "[0:0]={0}"],
  "text[]": ["{}", '{""}', "{NULL}", '{"NULL"}', '{"a,b"}', "{a,b}"],
  '"char"[]': ["{}", "{a}", '{""}'],
  "int4range": ["empty", "(,)", "[1,2)", "[1,)"],
  "mood": ["sad", "glad"],
  "mood[]": ["{sad}", "{glad}", "{}"],
  "pair": ["(,)", '("",)', "(a,)", "(,1)"],
  "positive": ["1", "2"],
  "price": ["0", "1", "-1", "10000"],
  "fee": ["0", "1", "-1", "10000"],
  "at": ["epoch", "infinity"],
  "day": ["2000-01-01", "infinity"],
  "identity": ["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"],
  "octets": ["", "\\x00"],
  "word": ["a", "b"],
  "letter": ["a", "b"],
};
const types = Object.keys(values);

const schema = `
  CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (t text, n int);
  CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN day AS date; CREATE DOMAIN at AS timestamptz;
  CREATE DOMAIN price AS numeric(8, 2); CREATE DOMAIN fee AS price; CREATE DOMAIN octets AS bytea;
  CREATE DOMAIN some_identity AS uuid; CREATE DOMAIN identity AS some_identity;
  CREATE DOMAIN word AS text CHECK (length(VALUE) = 1); CREATE DOMAIN letter AS "char";
  CREATE TABLE t (${
  types.map((type, index) => `a${index} ${type}, b${index} ${type}`).join(", ")
});`;

/** A row of NULLs except for the two columns of one type. */
function row(index: number, a: string | undefined, b: string | undefined): string {
  const literal = (value: string | undefined) =>
    value === undefined ? "NULL" : `'${value.replaceAll("'", "''")}'`;
  return `INSERT INTO t (a${index}, b${index}) VALUES (${literal(a)}, ${literal(b)});`;
}

/** Every pair of values of every type, including NULL; all rows are distinct. */
const rows = types.flatMap((type, index) => {
  const all = [undefined, ...values[type]!];
  return all.flatMap((a) => all.map((b) => ({ a, b })))
    .filter(({ a, b }) => a !== undefined || b !== undefined || index === 0)
    .map(({ a, b }) => row(index, a, b));
});

/** The hashes of all rows, in insertion order. */
async function hashesOf(session: Session, columns: readonly ComparedColumn[]): Promise<string[]> {
  const found = await session.query<{ hash: string }>(
    `SELECT (${rowHash(columns, "hash")})::text AS hash FROM public.t AS seren_row ORDER BY ctid`,
  );
  return found.map(({ hash }) => hash);
}

interface Filled {
  readonly hashes: readonly string[];
  readonly forms: readonly string[];
}

async function filled(
  cluster: typeof clusters[number],
  { sameEncoding, script = `${schema}${rows.join("")}` }: {
    readonly sameEncoding: boolean;
    readonly script?: string;
  },
): Promise<Filled> {
  return await withDatabase(cluster, undefined, async ({ url }) => {
    const endpoint = await endpointOf(url, "source");
    await using session = await openSession(endpoint, { settings: pinnedSettings });
    await session.execute(`SET search_path = public; ${script}; SET search_path = ''`);
    const relation = (await readRelations(session)).find(({ name }) => name === "t")!;
    const { columns } = pairColumns({ source: relation, target: relation }, { sameEncoding });
    return {
      hashes: await hashesOf(session, columns),
      forms: [...new Set(columns.map(({ form }) => form))],
    };
  });
}

Deno.test("rowHash() distinguishes rows of all types, and is the same in versions 12 to 18", async () => {
  const [first, ...others] = await Promise.all(
    clusters.map((cluster) => filled(cluster, { sameEncoding: true })),
  );
  strictEqual(new Set(first!.hashes).size, rows.length);
  deepStrictEqual(
    [...first!.forms].toSorted(),
    [
      ...["bytes", "date", "fixed", "float", "integer"],
      ...["moment", "small", "text", "uuid"],
    ],
  );
  for (const { hashes } of others) deepStrictEqual(hashes, first!.hashes);
});

Deno.test("rowHash() distinguishes rows when the server encodings differ", async () => {
  const { hashes } = await filled(clusters[0]!, { sameEncoding: false });
  strictEqual(new Set(hashes).size, rows.length);
});

Deno.test("rowHash() distinguishes adjacent microseconds and cents, near and far", async () => {
  const moments = [
    "1859-12-31 23:59:59.99",
    "1999-12-31 23:59:59.99",
    "2026-11-26",
    "2131-12-31 23:59:59.99",
  ];
  const far = ["9999-12-31", "294276-12-31 23:59:59", "4713-01-01 BC"];
  const rows = [
    ...[...moments, ...far].map((moment) => `TIMESTAMPTZ '${moment} UTC' + i * INTERVAL '1 us', 0`),
    ...["0.01", "10000", "1e12"].map((unit) => `'epoch', (i - 10000.5)::numeric(7,1) * ${unit}`),
  ];
  for (const cluster of [clusters[0]!, clusters.at(-1)!]) {
    const { hashes } = await filled(cluster, {
      sameEncoding: true,
      script: `CREATE TABLE t (at timestamptz, n numeric(24, 3));
        ${
        rows.map((row) => `INSERT INTO t SELECT ${row} FROM generate_series(1, 20000) AS i;`).join(
          "",
        )
      }`,
    });
    strictEqual(hashes.length, rows.length * 20_000);
    strictEqual(new Set(hashes).size, hashes.length);
  }
});

Deno.test("rowHash() distinguishes rows with the maximum number of columns", async () => {
  const count = 1_600;
  const places = [0, 1, 39, 40, 41, 79, 80, 1_598, 1_599];
  const script = `CREATE TABLE t (${
    Array.from({ length: count }, (_, i) => `c${i} int2`).join(", ")
  });
    INSERT INTO t (c0) VALUES (NULL);
    ${places.map((place) => `INSERT INTO t (c${place}) VALUES (1);`).join("")}`;
  for (const cluster of [clusters[0]!, clusters.at(-1)!]) {
    const { hashes } = await filled(cluster, { sameEncoding: true, script });
    strictEqual(new Set(hashes).size, 1 + places.length);
  }
});

Deno.test("sums of rowHash() change when values move between rows", async () => {
  const { hashes } = await filled(clusters[1]!, {
    sameEncoding: true,
    script: `CREATE TABLE t (n numeric, i int, v text, u uuid, b bytea);
      INSERT INTO t SELECT n, i, v, md5(v)::uuid, v::bytea
        FROM unnest(ARRAY[1, 10000]) AS n, unnest(ARRAY[0, 1]) AS i, unnest(ARRAY['a', 'b']) AS v`,
  });
  strictEqual(hashes.length, 8);
  // rows i and j against rows k and l: the same values in other combinations
  const sums = hashes.flatMap((one, i) =>
    hashes.slice(i + 1).map((other) => BigInt(one) + BigInt(other))
  );
  strictEqual(new Set(sums).size, sums.length);
});

Deno.test('verify() finds every "char" equal between versions 12 and 18, in keys, arrays and domains too', async () => {
  const letters = `CREATE DOMAIN letter AS "char";
    CREATE TABLE letters (k "char", n int, l letter, a "char"[], v text, PRIMARY KEY (k, n));
    INSERT INTO letters SELECT i::"char", n, i::"char", ARRAY[i::"char", NULL, (-i)::"char"], 'v'
      FROM generate_series(-127, 127) AS i, generate_series(1, 3) AS n;
    CREATE TABLE one (k "char" PRIMARY KEY, v text);
    INSERT INTO one SELECT i::"char", 'v' FROM generate_series(-128, 127) AS i`;
  const [from, to] = [clusters[0]!, clusters.at(-1)!];
  await withDatabase(from, undefined, async (source) => {
    await withDatabase(to, undefined, async (target) => {
      for (const { url } of [source, target]) await exec(url, letters);
      deepStrictEqual(unequalTables(await runVerify(source.url, target.url)), []);
      await exec(
        target.url,
        `UPDATE letters SET v = 'w' WHERE k = (-23)::"char" AND n = 2; UPDATE letters SET a = ARRAY[(-24)::"char"] WHERE k = 'a';
         UPDATE letters SET l = (-1)::"char" WHERE k = (-2)::"char" AND n = 1; DELETE FROM one WHERE k IN ((-5)::"char", '\\')`,
      );
      const report = await runVerify(source.url, target.url);
      deepStrictEqual(
        unequalTables(report).flatMap(({ differences }) =>
          differences.map(({ kind, key, columns }) =>
            [kind, ...key.map(({ value }) => value), ...columns.map(({ column }) => column)]
              .join(" ")
          )
        ).toSorted(),
        [
          "different \\351 2 v",
          "different \\376 1 l",
          "different a 1 a",
          "different a 2 a",
          "different a 3 a",
          "missing \\373 v",
          "missing \\\\ v",
        ].toSorted(),
      );
      const repaired = await runVerify(source.url, target.url, { repair: "follow" });
      deepStrictEqual(unequalTables(repaired), []);
      const sum =
        "SELECT count(*) AS n, sum(hashtext(ascii(v) || n::text || k::int || l::int)) AS s FROM letters";
      deepStrictEqual(await query(source.url, sum), await query(target.url, sum));
    });
  });
});
