import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { listTables } from "../../lib/catalog/internal.ts";
import { copyOutStatement, planCopy, readPlanBounds } from "../../lib/copy/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { compareDatabases } from "../support/compare.ts";
import { createTemplate, withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { query } from "../support/sql.ts";
import { planOptions } from "../support/copy.ts";

const target = await sharedCluster(18);

/**
 * Keys of many types, with gaps and skew; rows inserted after ANALYZE are outside the range it saw.
 */
const tables = `
  CREATE TABLE whole (id bigint PRIMARY KEY, filler text);
  INSERT INTO whole SELECT CASE WHEN i % 100 = 0 THEN i::bigint * 1000000000 ELSE i END, repeat('x', 200)
    FROM generate_series(1, 5000) AS i ORDER BY 1;
  CREATE TABLE texts ("the ""key" text COLLATE "C" PRIMARY KEY, filler text);
  INSERT INTO texts SELECT to_char(i, 'FM00000') || '''\\" {},é', repeat('x', 200) FROM generate_series(1, 5000) AS i;
  CREATE TABLE numerics (n numeric(12, 3) PRIMARY KEY, filler text);
  INSERT INTO numerics SELECT i / 7.0 - 100, repeat('x', 200) FROM generate_series(1, 5000) AS i;
  CREATE TABLE times (at timestamptz, n int, filler text, PRIMARY KEY (at, n));
  INSERT INTO times SELECT '2020-01-01'::timestamptz + i * interval '7 hours', i, repeat('x', 200)
    FROM generate_series(1, 5000) AS i;
  CREATE TABLE uuids (id uuid PRIMARY KEY, filler text);
  INSERT INTO uuids SELECT md5(i::text)::uuid, repeat('x', 200) FROM generate_series(1, 5000) AS i ORDER BY 1;
  CREATE TABLE shuffled (id uuid PRIMARY KEY, filler text);
  INSERT INTO shuffled SELECT md5(i::text)::uuid, repeat('x', 200) FROM generate_series(1, 5000) AS i;
  CREATE TABLE keyless (id int, filler text);
  INSERT INTO keyless SELECT i, repeat('x', 200) FROM generate_series(1, 5000) AS i;
  ANALYZE;
  INSERT INTO whole VALUES (-9223372036854775808, 'below'), (9223372036854775807, 'above');
  INSERT INTO texts VALUES ('', 'below'), ('zzz', 'above');
  INSERT INTO numerics VALUES (-99999999, 'below'), ('NaN', 'above');
  INSERT INTO times VALUES ('-infinity', 0, 'below'), ('infinity', 0, 'above');
  INSERT INTO uuids VALUES ('00000000-0000-0000-0000-000000000000', 'below'),
                           ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'above');`;
const dividedByKey = ["numerics", "texts", "times", "uuids", "whole"];

for (const major of [12, 13] as const) {
  const source = await sharedCluster(major);
  const template = await createTemplate(source, "key_ranges", tables);

  Deno.test(`large tables of ${major} are divided by their keys, each row into exactly one part`, async () => {
    await withDatabase(source, template, async ({ url }) => {
      await using session = await openSession(await endpointOf(url, "source"));
      const all = await listTables(session);
      const splitBytes = 200 * 1024;
      const parts = planCopy(
        all,
        planOptions({
          sourceMajor: session.majorVersion,
          format: "text",
          splitBytes,
          keyBounds: await readPlanBounds(session, all, { splitBytes }),
        }),
      );
      for (const { name } of all) {
        const own = parts.filter(({ table }) => table.name === name);
        if (!dividedByKey.includes(name)) {
          strictEqual(own.length, 1, `${name} cannot be divided`);
          continue;
        }
        ok(own.length > 3, `${name} has ${own.length} parts`);
        const counts: number[] = [];
        for (const part of own) {
          const rows = /^COPY \((.+)\) TO STDOUT/s.exec(copyOutStatement(part, "UTF8"))?.[1];
          const { count } = await session.queryOne<{ count: number }>(
            `SELECT count(*)::int AS count FROM (${rows}) AS part`,
          );
          counts.push(count);
        }
        const total = 5002;
        strictEqual(counts.reduce((sum, count) => sum + count, 0), total, name);
        // about equal: no part has twice its share
        ok(Math.max(...counts) < 2 * total / own.length, `${name}: ${counts.join(" ")}`);
      }
    });
  });

  Deno.test(`init from ${major} copies tables in key ranges, and both sides are equal`, async () => {
    await withDatabase(
      source,
      template,
      ({ name, url }) =>
        withDatabase(target, undefined, async (copy) => {
          const { plan } = await runInit(url, copy.url, {
            include: [name],
            splitBytes: 200 * 1024,
          });
          const cut = plan.databases[0]?.tables.filter(({ parts }) => parts > 1);
          deepStrictEqual(cut?.map((table) => table.name).sort(), dividedByKey);
          deepStrictEqual(await compareDatabases(url, copy.url), []);
          strictEqual((await query(copy.url, "SELECT FROM whole")).length, 5002);
        }),
    );
  });
}
