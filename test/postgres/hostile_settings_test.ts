/**
 * Every setting that could break or alter a copy, set on the copied database and role.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { exec, query } from "../support/sql.ts";

const source = await sharedCluster(13);
const target = await sharedCluster(14);

const hostile = {
  statement_timeout: "1ms",
  lock_timeout: "1ms",
  array_nulls: "off",
  xmloption: "document",
  search_path: "public, pg_catalog",
  timezone: "Asia/Tokyo",
  datestyle: "SQL, DMY",
  intervalstyle: "sql_standard",
  transform_null_equals: "on",
  quote_all_identifiers: "on",
  standard_conforming_strings: "off",
  client_encoding: "latin1",
  default_transaction_isolation: "serializable",
  default_transaction_read_only: "on",
  default_transaction_deferrable: "on",
  lo_compat_privileges: "on",
  backslash_quote: "on",
  bytea_output: "escape",
  extra_float_digits: "-3",
  row_security: "off",
};

Deno.test("a complete migration succeeds with any settings of databases and roles", async () => {
  const settings = Object.entries(hostile);
  const rewrite = (script: string) =>
    [
      "CREATE TABLE public.dates (id int PRIMARY KEY, d date, ts timestamptz, i interval, a text[], b bytea, f float8);",
      "INSERT INTO dates VALUES (1, '2024-03-01', '2024-03-01 00:30+09', '-1 day +02:03:04', ARRAY['a', NULL], '\\x00ff', 0.1);",
      ...settings.map(([name, value]) => `ALTER DATABASE h18 SET ${name} = '${value}';`),
      // takes precedence over the database's
      ...settings.map(([name, value]) =>
        `ALTER ROLE postgres IN DATABASE h18 SET ${name} = '${value}';`
      ),
      script,
      "-- STREAM",
      "SET default_transaction_read_only = off; SET statement_timeout = 0; SET array_nulls = on; SET datestyle = ISO; SET standard_conforming_strings = on;",
      "INSERT INTO public.dates VALUES (2, '2024-03-01', '2024-03-01 00:30+09', '-1 day +02:03:04', ARRAY['a', NULL], '\\x00ff', 0.1);",
    ].join("\n");
  const name = { name: "h18", rewrite, source, target };
  await withCase("18-database-read-only.sql", name, async (it) => {
    try {
      await it.validate({ forSync: true });
      await it.initWithSync();
      await it.stream();
      strictEqual(await it.drain(), "drained");
      await it.sync();
      await it.status();
      strictEqual((await it.verify()).verdict, "equal");
      await it.cleanup();
      deepStrictEqual(await it.differences(), []);
    } finally {
      for (const cluster of [source, target]) {
        const exists = await query(cluster.url(), "SELECT FROM pg_database WHERE datname = 'h18'");
        if (exists.length > 0) {
          await exec(cluster.url(), "ALTER ROLE postgres IN DATABASE h18 RESET ALL");
        }
      }
    }
  });
});
