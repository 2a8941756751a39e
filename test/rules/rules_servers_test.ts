/**
 * Table rules on real servers: dependencies from the catalogs, and checks of predicates.
 */
import { deepStrictEqual as equal, match, ok, strictEqual } from "node:assert/strict";
import { checkPredicate, readIdentity, readSourceTables } from "../../lib/catalog/internal.ts";
import { openSession, type Session } from "../../lib/postgres/internal.ts";
import {
  consequencesOf,
  decideTables,
  readRuleFlags,
  type TableRules,
} from "../../lib/rules/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createTemplate, withDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { query } from "../support/sql.ts";

const old = await sharedCluster(12);
const source = await sharedCluster(15);

const shop = `
  CREATE SCHEMA analytics;
  CREATE TABLE customers (id serial PRIMARY KEY, name text, "Odd Column" int);
  CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customers,
                       at timestamptz NOT NULL DEFAULT now());
  CREATE TABLE analytics.orders (id int PRIMARY KEY, customer int REFERENCES public.customers, day date);
  CREATE TABLE events (id int, at timestamp) PARTITION BY RANGE (at);
  CREATE TABLE events_24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
  CREATE TABLE heir (extra text) INHERITS (customers);
  CREATE TABLE typed (who customers, many analytics.orders[]);
  CREATE TABLE guarded (id int DEFAULT nextval('customers_id_seq'));
  ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
  CREATE POLICY mine ON guarded USING (id IN (SELECT customer FROM orders));
  CREATE VIEW recent AS SELECT * FROM orders WHERE at > now() - interval '1 day';
  CREATE VIEW on_recent AS SELECT count(*) FROM recent;
  CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) FROM analytics.orders GROUP BY 1;
  CREATE FUNCTION of_orders() RETURNS SETOF orders LANGUAGE plpgsql AS 'BEGIN RETURN; END';
  CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN true; END';
`;

await createTemplate(source, "rules_template", shop);
await createTemplate(old, "rules_template", shop);

function rulesOf(flags: Partial<Parameters<typeof readRuleFlags>[0]>): TableRules {
  const { rules, problems } = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: [],
    tableFilters: [],
    timeFilters: [],
    ...flags,
  });
  equal(problems, []);
  return { ...rules, now: "2025-08-31T12:00:00.000Z" };
}

async function inShop(
  cluster: typeof source,
  use: (session: Session, url: string) => Promise<void>,
): Promise<void> {
  await withDatabase(cluster, "rules_template", async ({ url }) => {
    await using session = await openSession(await endpointOf(url, "source"));
    await use(session, url);
  });
}

for (const cluster of [old, source]) {
  Deno.test(`dependents of a table are read from the catalogs (${cluster.major})`, async () => {
    await inShop(cluster, async (session) => {
      const database = await readSourceTables(session);
      const scope = decideTables(
        rulesOf({ excludeTables: [`${database.name}.orders`] }),
        database,
      );
      const { relations, dependents, impossibleKeys } = consequencesOf(scope, database);
      equal(relations.map(({ schema, name }) => `${schema}.${name}`).sort(), [
        "public.on_recent",
        "public.orders",
        "public.orders_id_seq",
        "public.recent",
      ]);
      equal(dependents.map(({ dependent }) => `${dependent.kind} ${dependent.name}`).sort(), [
        "function of_orders",
        "policy guarded",
        "view on_recent",
        "view recent",
      ]);
      equal(impossibleKeys, []);
    });
  });

  Deno.test(`child tables and users of a row type are left out with their table (${cluster.major})`, async () => {
    await inShop(cluster, async (session) => {
      const database = await readSourceTables(session);
      const scope = decideTables(
        rulesOf({ excludeTables: [`${database.name}.customers`] }),
        database,
      );
      const leftOut = scope.tables.filter(({ decision }) => decision.outcome === "left-out");
      equal(leftOut.map(({ table }) => table.name), ["customers", "heir", "typed"]);
      match(
        scope.decide({ schema: "public", name: "typed" })?.reason ?? "",
        /its definition needs customers/,
      );
      const { relations, impossibleKeys } = consequencesOf(scope, database);
      // another table uses the sequence
      ok(!relations.some(({ name }) => name === "customers_id_seq"));
      equal(impossibleKeys.map(({ name }) => name), [
        "orders_customer_fkey",
        "orders_customer_fkey",
      ]);
    });
  });

  Deno.test(`the server checks a predicate before anything starts (${cluster.major})`, async () => {
    await inShop(cluster, async (session, url) => {
      const database = await readSourceTables(session);
      const table = database.tables.find(({ name }) => name === "customers")!;
      const check = (predicate: string) => checkPredicate(session, { table, predicate });
      const problem = async (predicate: string) => {
        const answer = await check(predicate);
        ok("problem" in answer, predicate);
        return `${answer.problem} → ${answer.remedy ?? ""}`;
      };
      match(await problem("id >"), /syntax error/);
      match(await problem("nmae = 'x'"), /column "nmae" does not exist → .*customers\.name/);
      match(await problem("id + 1"), /argument of AND must be type boolean/);
      match(await problem("id = 'x'"), /invalid input syntax for type integer/);
      match(
        await problem("slow(id)"),
        /function slow\(integer\) does not exist → qualify all names except/,
      );
      match(
        await problem("id IN (SELECT id FROM orders)"),
        /relation "orders" does not exist → .*public\.users/,
      );
      // even text that the lexical check refuses cannot run a second statement
      match(
        await problem("true); DELETE FROM public.customers; SELECT (true"),
        /multiple commands/,
      );
      match(await problem("true) -- "), /syntax error/);

      const valid = await check(
        `"Odd Column" > 1 AND public.slow(id) AND name < lower(CURRENT_USER) -- end`,
      );
      ok("facts" in valid);
      equal(valid.facts.columns, ["id", "name", "Odd Column"]);
      equal(valid.facts.functions, [
        { name: "lower", volatility: "immutable" },
        { name: "slow", volatility: "volatile" },
        { name: "CURRENT_USER", volatility: "stable" },
      ]);
      strictEqual(valid.facts.hasSubquery, false);
      equal(valid.facts.systemColumns, []);
      const system = await check("tableoid::pg_catalog.int8 > xmin::pg_catalog.text::int");
      ok("facts" in system);
      equal(system.facts.systemColumns, ["tableoid", "xmin"]);
      equal(await readIdentity(session, table), { columns: ["id"] });
      equal(await query(url, "SELECT txid_current_if_assigned() AS t"), [{ t: null }]);
    });
  });
}
