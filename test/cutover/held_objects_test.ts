import { deepStrictEqual, match, ok, rejects } from "node:assert/strict";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import { executeRehearse } from "../../lib/commands/cutover/rehearse.ts";
import type { ReplicatorError } from "../../lib/core/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
} from "../support/cutover_pair.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { compareRows } from "../support/replicated.ts";
import { until } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";
import { runSync, syncSettings } from "../support/sync.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);

const schema = `
  CREATE TABLE customer (id int PRIMARY KEY, v int);
  CREATE TABLE line (id int PRIMARY KEY, customer int REFERENCES customer ON DELETE CASCADE);
  CREATE TABLE part (id int PRIMARY KEY, customer int REFERENCES customer ON DELETE CASCADE)
    PARTITION BY RANGE (id);
  CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (1000);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.v = NEW.v + 1000; RETURN NEW; END $$;
  CREATE TRIGGER note BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION note();
  INSERT INTO customer SELECT n, 0 FROM generate_series(1, 20) AS n;
  INSERT INTO line SELECT n, n FROM generate_series(1, 20) AS n;
  INSERT INTO part SELECT n, n FROM generate_series(1, 20) AS n;`;

/** A database whose changes this tool applies as a role that may not silence triggers. */
async function withPlainPair(use: (pair: CutoverPair) => Promise<void>): Promise<void> {
  const user = `plain_${crypto.randomUUID().slice(0, 8)}`;
  // before 16 only superusers can create the subscription of the way back
  await exec(source.url(), `CREATE ROLE ${user} LOGIN SUPERUSER`);
  await exec(target.url(), `CREATE ROLE ${user} LOGIN CREATEDB REPLICATION`);
  try {
    await withDatabase(source, undefined, async ({ name, url }) => {
      await exec(url, `ALTER DATABASE ${name} OWNER TO ${user}; SET ROLE ${user}; ${schema}`);
      const targetUrl = target.url({ database: name, user });
      const stop = new AbortController();
      try {
        await runInit(url, target.url({ user }), {
          include: [name],
          sync: { ...syncSettings, applyFrom: "here" },
        });
        const sync = runSync(url, targetUrl, { include: [name], signal: stop.signal });
        sync.catch(() => {});
        await until(
          url,
          "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database() AND active) AS ok",
        );
        const servers = {
          source: await endpointOf(url, "source"),
          target: await endpointOf(targetUrl, "target"),
          databases: { include: [name], exclude: [], map: {} },
        };
        await use({ name, url, targetUrl, servers });
        stop.abort();
        await sync;
      } finally {
        stop.abort();
        await dropDatabase(target, name);
      }
    });
  } finally {
    await exec(target.url(), `DROP ROLE ${user}`);
    await exec(source.url(), `DROP ROLE ${user}`);
  }
}

/** Updates and deletes a customer, with what the trigger and the keys then do. */
async function expectInForce(url: string, id: number): Promise<void> {
  await exec(
    url,
    `UPDATE customer SET v = 0 WHERE id = ${id}; DELETE FROM customer WHERE id = ${id + 1}`,
  );
  deepStrictEqual(await query(url, `SELECT v FROM customer WHERE id = ${id}`), [{ v: 1000 }]);
  const left = `SELECT id FROM line WHERE customer = ${id + 1}
                UNION SELECT id FROM part WHERE customer = ${id + 1}`;
  deepStrictEqual(await query(url, left), []);
}

Deno.test("triggers and keys that a plain role holds while it applies changes are in force on the side that a cutover opens", async () => {
  await withPlainPair(async (pair) => {
    const { url, targetUrl } = pair;
    await prepareCutover(pair);
    await switchCutover("run", pair);
    await expectInForce(targetUrl, 1);
    await switchCutover("rollback", pair);
    await expectInForce(url, 3);
    const isFollowed = "SELECT count(*) = 18 AS ok FROM customer";
    await until(targetUrl, isFollowed);
    await compareRows(url, targetUrl);
    await switchCutover("run", pair);
    await expectInForce(targetUrl, 5);
  });
});

/** The state of what is held, with plain SQL. */
const heldState = `SELECT 'trigger ' || tgname AS name, tgenabled::text AS state FROM pg_trigger
                    WHERE NOT tgisinternal
                   UNION ALL SELECT conrelid::regclass || ' ' || conname, convalidated::text
                     FROM pg_constraint WHERE contype = 'f'
                   UNION ALL SELECT object, is_restored::text FROM seren_apply.held ORDER BY 1`;

Deno.test("a rehearsal measures what will be restored, and restores nothing", async () => {
  await withPlainPair(async (pair) => {
    const { url, targetUrl, servers } = pair;
    await prepareCutover(pair);
    await exec(url, "UPDATE customer SET v = 1 WHERE id = 10");
    await until(targetUrl, "SELECT to_regclass('seren_apply.held') IS NOT NULL AS ok");
    await exec(
      targetUrl,
      "INSERT INTO seren_apply.held (object, restore) VALUES ('slow', 'SELECT pg_sleep(1)')",
    );
    const before = await query(targetUrl, heldState);
    ok(before.length > 3);
    const { databases, predictedPauseMs } = await executeRehearse({
      ...servers,
      tokens: 3,
      brownoutMs: undefined,
      sequenceMargin: 1_000,
      maxPauseMs: 30_000,
      now: () => new Date(),
    }, quietRun);
    ok(databases[0]!.reverseMs >= 1_000, String(databases[0]!.reverseMs));
    ok(predictedPauseMs >= databases[0]!.reverseMs);
    deepStrictEqual(await query(targetUrl, heldState), before);
    await exec(targetUrl, "DELETE FROM seren_apply.held WHERE object = 'slow'");
    await switchCutover("run", pair);
    await expectInForce(targetUrl, 1);
  });
});

Deno.test("finish completes although rows violate a key, and says which one stays NOT VALID", async () => {
  await withPlainPair(async (pair) => {
    const { url, targetUrl, servers } = pair;
    await prepareCutover(pair);
    await exec(url, "SET session_replication_role = replica; INSERT INTO line VALUES (900, 900)");
    await switchCutover("run", pair);
    const finishing = executeFinish(
      { ...servers, openOldSide: false, confirm: () => Promise.resolve(true) },
      quietRun,
    );
    await rejects(finishing, (error: ReplicatorError) => {
      match(
        error.message,
        /^the cutover is finished, but foreign keys of the target stay NOT VALID/,
      );
      match(error.details.join("\n"), /line_customer_fkey.*VALIDATE CONSTRAINT/s);
      return true;
    });
    deepStrictEqual(
      await query(
        url,
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()",
      ),
      [],
    );
    deepStrictEqual(
      await query(targetUrl, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'seren%'"),
      [],
    );
  });
});
