import { isLong } from "../support/long.ts";
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ReplicatorError, type RunEvent } from "../../lib/core/internal.ts";
import { readTableHolders } from "../../lib/cutover/blockers.ts";
import type { HookRunner } from "../../lib/cutover/switch_options.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { acknowledgedSchema, startAcknowledgedLoad } from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { withDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { outcome, pidOf, QUERY_CANCELED, run, untilWaiting, withSessions } from "./_facts.ts";
import { accepts } from "./open_probe.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const vacuuming = await sharedCluster(15, { settings: { autovacuum_naptime: "1s" } });

Deno.test("a transaction that wrote is reported with pid and remedy, writers continue and see no deadlock", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers: 3 });
    await load.more(20);
    await withSession(pair.url, async (holder) => {
      await run(holder, "BEGIN; INSERT INTO ack (writer, n) VALUES (99, 99)");
      const pid = await pidOf(holder);
      const error = await blocked(pair);
      match(error.details.join("\n"), new RegExp(`pid ${pid} .*idle in transaction`));
      match(error.details.join("\n"), new RegExp(`pg_terminate_backend\\(${pid}\\)`));
      await load.more(50);
      await run(holder, "COMMIT");
    });
    deepStrictEqual(
      await query(pair.url, "SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock'"),
      [],
    );
    await switchCutover("run", pair);
    await load.more(20);
    const { errors } = await load.stop();
    strictEqual(errors["40P01"], undefined);
    ok((await query(pair.targetUrl, "SELECT FROM ack WHERE writer = 99")).length === 1);
  });
});

Deno.test("a barrier that is not granted ends its step with an event that says so", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.url, async (holder) => {
      await run(holder, "BEGIN; INSERT INTO ack (writer, n) VALUES (99, 99)");
      const steps: string[] = [];
      const events = (event: RunEvent) => {
        if (event.kind === "step-started") steps.push(`${event.step} begins`);
        if (event.kind === "step-finished") {
          steps.push(`${event.step} ${event.failed === true ? "fails" : "ends"}`);
        }
      };
      await rejects(
        switchCutover("run", pair, { barrierAttempts: 1 }, { ...quietRun, events }),
        { exitCode: 3 },
      );
      deepStrictEqual(steps.slice(-2), ["barrier begins", "barrier fails"]);
    });
  });
});

Deno.test("--on-blocker terminate ends an idle transaction, whose work is on neither side", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.url, async (holder) => {
      await run(holder, "BEGIN; INSERT INTO ack (writer, n) VALUES (99, 99)");
      const report = await switchCutover("run", pair, {
        onBlocker: "terminate",
        endSessions: false,
      });
      // writers waited in every attempt
      const { failedAttempts, failedAttemptsMs } = report!;
      ok(failedAttempts >= 3);
      ok(failedAttemptsMs >= failedAttempts * 100, String(failedAttemptsMs));
    });
    strictEqual(await accepts(pair.targetUrl, "DELETE FROM ack"), true);
    for (const url of [pair.url, pair.targetUrl]) {
      strictEqual((await query(url, "SELECT FROM ack WHERE writer = 99")).length, 0);
    }
  });
});

Deno.test("--on-blocker cancel ends a running statement, and leaves an idle transaction alone", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.url, async (holder) => {
      await run(holder, "BEGIN; INSERT INTO ack (writer, n) VALUES (99, 99)");
      const error = await blocked(pair, "cancel");
      match(error.details.join("\n"), /idle in transaction/);
      const ended = outcome(holder, "SELECT pg_sleep(120)");
      await switchCutover("run", pair, { onBlocker: "cancel", endSessions: false });
      strictEqual(await ended, QUERY_CANCELED);
    });
    strictEqual(await accepts(pair.targetUrl, "DELETE FROM ack"), true);
    for (const url of [pair.url, pair.targetUrl]) {
      strictEqual((await query(url, "SELECT FROM ack WHERE writer = 99")).length, 0);
    }
  });
});

Deno.test("a table that prepare cannot fence is reported with the sessions that write to it", async () => {
  await withDatabase(source, undefined, async ({ url }) => {
    await query(url, 'CREATE TABLE "a ""table" (id int)');
    await withSession(url, async (holder) => {
      await withSession(url, async (reader) => {
        await run(reader, 'BEGIN; SELECT FROM "a ""table"');
        await run(holder, 'BEGIN; INSERT INTO "a ""table" VALUES (1)');
        const pid = await pidOf(holder);
        await using session = await openSession(await endpointOf(url, "source"));
        const found = await readTableHolders(session, { schema: "public", name: 'a "table' });
        deepStrictEqual(
          found.map((each) => [each.pid, each.state]),
          [[pid, "idle in transaction"]],
        );
      });
    });
  });
});

const slowTable = `
  CREATE TABLE slow (id int PRIMARY KEY, filler text) WITH (autovacuum_vacuum_threshold = 1,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,
    autovacuum_vacuum_cost_limit = 1, autovacuum_analyze_threshold = 2000000000,
    autovacuum_vacuum_insert_threshold = -1);
  INSERT INTO slow SELECT n, repeat('x', 500) FROM generate_series(1, 20000) AS n;`;

Deno.test(
  "an ordinary autovacuum is waited for and reported, and canceled only with --on-blocker cancel",
  { ignore: !isLong },
  async () => {
    await withCutoverPair({ source: vacuuming, target, schema: slowTable }, async (pair) => {
      await prepareCutover(pair);
      await exec(pair.url, "DELETE FROM slow WHERE id % 2 = 0");
      await until(
        pair.url,
        `SELECT count(*) > 0 AS ok FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE l.relation = 'slow'::regclass AND l.granted AND a.backend_type = 'autovacuum worker'`,
      );
      const error = await blocked(pair, "wait");
      match(error.details.join("\n"), /pid \d+.*: autovacuum worker/);
      match(error.details.join("\n"), /wait until it ends, or on the source: .*pg_cancel_backend/);
      await exec(pair.url, "UPDATE slow SET filler = 'y' WHERE id = 1");
      await switchCutover("run", pair, { onBlocker: "cancel", endSessions: false });
      strictEqual(await accepts(pair.targetUrl, "DELETE FROM slow"), true);
    });
  },
);

Deno.test(
  "an autovacuum that prevents wraparound is reported as such, and canceled only with --on-blocker cancel",
  { ignore: !isLong },
  async () => {
    const schema = slowTable.replace("WITH (", "WITH (autovacuum_freeze_max_age = 100000, ") +
      acknowledgedSchema;
    await withCutoverPair({ source: vacuuming, target, schema }, async (pair) => {
      await prepareCutover(pair);
      await exec(
        pair.url,
        `DO $$ BEGIN FOR n IN 1..100100 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$`,
      );
      await until(
        pair.url,
        `SELECT count(*) > 0 AS ok FROM pg_stat_activity
          WHERE backend_type = 'autovacuum worker' AND query LIKE '%slow (to prevent wraparound)'`,
      );
      await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers: 3 });
      await load.more(20);
      const error = await blocked(pair, "wait");
      match(error.details.join("\n"), /pid \d+.*: autovacuum worker \(to prevent wraparound\)/);
      match(error.details.join("\n"), /wait until it ends, or on the source: .*pg_cancel_backend/);
      await load.more(20);
      deepStrictEqual(await barriersOf(pair.url), []);
      await switchCutover("run", pair, { onBlocker: "cancel", endSessions: false });
      await load.more(20);
      const { errors } = await load.stop();
      strictEqual(errors["40P01"], undefined);
    });
  },
);

Deno.test("a queue of locks is reported with the session that waits and the one that it waits for", async () => {
  await withCutoverPair({ source, target, schema: queueSchema }, async (pair) => {
    await prepareCutover(pair);
    await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers: 3 });
    await load.more(20);
    await withSessions([pair.url, pair.url], async (reader, waiting) => {
      const [first, second] = [await pidOf(reader), await pidOf(waiting)];
      await run(reader, "BEGIN; SELECT FROM quiet");
      let ended = Promise.resolve("");
      // later than the preflight, which reads the table's definition
      const hook = (name: string) => {
        if (name !== "before") return;
        ended = outcome(waiting, "ROLLBACK; BEGIN; LOCK TABLE quiet IN ACCESS EXCLUSIVE MODE");
        return untilWaiting(pair.url, second);
      };
      const error = await blocked(pair, "wait", hook);
      match(
        error.details.join("\n"),
        new RegExp(`pid ${second} .*active.*waits for pid ${first}\\b`),
      );
      match(error.details.join("\n"), new RegExp(`pg_cancel_backend\\(${second}\\)`));
      deepStrictEqual(await barriersOf(pair.url), []);
      await query(pair.url, `SELECT pg_cancel_backend(${second})`);
      await ended;
      await load.more(20);
      // the reader need not be ended
      await switchCutover("run", pair, { onBlocker: "cancel", endSessions: false, hook });
      strictEqual(await ended, QUERY_CANCELED);
      await run(reader, "SELECT FROM quiet; COMMIT");
    });
    await load.more(20);
    strictEqual((await load.stop()).errors["40P01"], undefined);
  });
});

Deno.test("a transaction that is prepared after the preflight is reported by its name, without a pid", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers: 3 });
    await load.more(20);
    const gid = `held by ${pair.name}`;
    const hook = (name: string) =>
      name === "before"
        ? exec(
          pair.url,
          `BEGIN; INSERT INTO ack (writer, n) VALUES (99, 99); PREPARE TRANSACTION '${gid}'`,
        )
        : undefined;
    try {
      const details = (await blocked(pair, "wait", hook)).details.join("\n");
      match(details, new RegExp(`prepared transaction '${gid}' .*transaction .* old`));
      match(details, new RegExp(`→ on the source: COMMIT PREPARED '${gid}'; or ROLLBACK PREPARED`));
      await load.more(20);
      deepStrictEqual(await barriersOf(pair.url), []);
    } finally {
      await exec(pair.url, `COMMIT PREPARED '${gid}'`);
    }
    await switchCutover("run", pair);
    await load.more(20);
    strictEqual((await load.stop()).errors["40P01"], undefined);
    strictEqual((await query(pair.targetUrl, "SELECT FROM ack WHERE writer = 99")).length, 1);
  });
});

const queueSchema = `${acknowledgedSchema} CREATE TABLE quiet (id int PRIMARY KEY);`;

async function barriersOf(url: string): Promise<readonly unknown[]> {
  return await query(
    url,
    `SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
}

async function blocked(
  pair: CutoverPair,
  onBlocker: "wait" | "cancel" = "wait",
  hook: HookRunner = () => undefined,
): Promise<ReplicatorError> {
  const barrierAttempts = onBlocker === "wait" ? 2 : 5;
  try {
    await switchCutover("run", pair, { barrierAttempts, onBlocker, hook });
  } catch (error) {
    if (error instanceof ReplicatorError && error.exitCode === 3) return error;
    throw error;
  }
  throw new Error("it was not blocked");
}
