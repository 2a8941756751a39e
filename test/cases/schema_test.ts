/** Cases about schemas and their objects in dumps. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

Deno.test("[20] without schema public on the source, the target has none either", async () => {
  await withCase("20-no-public-schema.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.differences(), []);
    strictEqual((await it.verify()).verdict, "equal");
  });
});

Deno.test("[81] a routine named begin", async () => {
  await withCase("81-function-named-begin.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.differences(), []);
    deepStrictEqual(await it.ask("target", "SELECT public.begin() AS one"), [{ one: 1 }]);
  });
});

Deno.test("[85] an argument named like a keyword of the target", async () => {
  await withCase("85-argument-named-json-15-to-18.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.ask("target", "SELECT public.f('[1]')::text AS f"), [{ f: "[1]" }]);
  });
});

Deno.test("[24] tables whose parents gained columns later keep their column order", async () => {
  await withCase("24-inherit-order.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.differences(), []);
    const orders =
      `SELECT attrelid::regclass::text AS t, string_agg(attname, ',' ORDER BY attnum) AS columns
      FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid IN ('a_s'::regclass, 'b_s'::regclass,
      'c_s'::regclass, 'd_s'::regclass) GROUP BY 1 ORDER BY 1`;
    deepStrictEqual(await it.ask("target", orders), await it.ask("source", orders));
  });
});

Deno.test("[29] rows of such a table keep their values when stored in a column", async () => {
  await withCase("29-rowtype-order-silent.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.differences(), []);
    const attributes =
      "SELECT id, (was).class, (was).own, (was).late FROM public.history ORDER BY id";
    deepStrictEqual(await it.ask("target", attributes), await it.ask("source", attributes));
  });
});
