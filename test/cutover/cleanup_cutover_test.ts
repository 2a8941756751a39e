import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { type CleanupPlan, executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import { executeRehearse } from "../../lib/commands/cutover/rehearse.ts";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { prometheusMetrics } from "../../lib/commands/status/prometheus.ts";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { statusFormProblems } from "../../lib/commands/status/schema.ts";
import { InterruptedError, type RunEvent } from "../../lib/core/internal.ts";
import { acknowledgedSchema, startAcknowledgedLoad } from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  interruptSwitch,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { drain } from "../support/replicated.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

/** Everything of the tool on one side, with plain SQL. */
async function remains(url: string): Promise<readonly string[]> {
  const name = new URL(url).pathname.slice(1);
  const rows = await query<{ what: string }>(
    url,
    `SELECT 'schema ' || nspname AS what FROM pg_namespace WHERE nspname LIKE 'seren%'
     UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE 'seren%'
     UNION ALL SELECT 'publication ' || pubname FROM pg_publication
     UNION ALL SELECT 'subscription ' || subname FROM pg_subscription
                 WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
     UNION ALL SELECT 'setting ' || array_to_string(setconfig, ',') FROM pg_db_role_setting
                 WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = $1)`,
    [name],
  );
  return rows.map(({ what }) => what);
}

/** Tables without a key that can identify their rows, each on one side or both. */
const keyless = `${acknowledgedSchema}
  CREATE TABLE keyless (id int, what text); INSERT INTO keyless VALUES (1, 'one');
  CREATE TABLE silent (id int PRIMARY KEY); INSERT INTO silent VALUES (1);`;

const identities = `SELECT relname AS name, relreplident::text AS identity FROM pg_class
                     WHERE relname IN ('keyless', 'silent') ORDER BY relname`;

/** Has prepare set a table of the target to FULL, and returns the identities before the copy. */
async function prepareKeyless(pair: CutoverPair): Promise<void> {
  await exec(pair.targetUrl, "ALTER TABLE silent REPLICA IDENTITY NOTHING");
  await prepareCutover(pair);
  deepStrictEqual(await query(pair.targetUrl, identities), [
    { name: "keyless", identity: "f" },
    { name: "silent", identity: "f" },
  ]);
}

async function checkRestored({ url, targetUrl }: CutoverPair): Promise<void> {
  const own = { name: "keyless", identity: "d" };
  deepStrictEqual(await query(url, identities), [own, { name: "silent", identity: "d" }]);
  deepStrictEqual(await query(targetUrl, identities), [own, { name: "silent", identity: "n" }]);
}

async function clean({ servers, name }: CutoverPair): Promise<CleanupPlan> {
  let seen: CleanupPlan | undefined;
  const result = await executeCleanup({
    ...servers,
    databases: { include: [name, `${name}_copy`], exclude: [] },
    checkpoints: undefined,
    confirm: (plan) => {
      seen = plan;
      return Promise.resolve(true);
    },
  }, quietRun);
  ok(result.kind === "removed");
  deepStrictEqual(result.report.failed, []);
  return seen!;
}

Deno.test("cleanup removes a prepared cutover from both sides", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    // a default of the user, in a database that no switch has closed
    await exec(
      pair.targetUrl,
      `ALTER DATABASE "${pair.name}" SET default_transaction_read_only = on`,
    );
    await prepareCutover(pair, { wayBack: "none" });
    // while the question is open, the records come to name a way back
    const overtaken = executeCleanup({
      ...pair.servers,
      databases: { include: [pair.name], exclude: [] },
      checkpoints: undefined,
      confirm: async () => {
        await prepareCutover(pair);
        return true;
      },
    }, quietRun);
    await rejects(overtaken, /another command has changed the state/);
    const plan = await clean(pair);
    ok(
      plan.items.some(({ kind, side, detail }) =>
        kind === "cutover" && side === "target" && /ACCEPT WRITES again/.test(detail)
      ),
    );
    deepStrictEqual(await remains(pair.url), []);
    deepStrictEqual(await remains(pair.targetUrl), ["setting default_transaction_read_only=on"]);
    await exec(
      target.url({}),
      `ALTER DATABASE "${pair.name}" RESET default_transaction_read_only`,
    );
    for (const url of [pair.url, pair.targetUrl]) {
      await exec(url, "INSERT INTO balance VALUES (99, 0)");
    }
  });
});

Deno.test("cleanup of one pair leaves the cutover of the source with another server alone", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    for (const url of [pair.url, pair.targetUrl]) {
      await exec(
        url,
        `UPDATE seren_cutover.side SET details = jsonb_set(details, '{target,system}', '"999"')`,
      );
    }
    await clean(pair);
    const left = await remains(pair.url);
    ok(left.includes("schema seren_cutover"), left.join("\n"));
    deepStrictEqual(left.filter((each) => /^(publication|slot)/.test(each)), []);
  });
});

Deno.test("cleanup removes the read-only default that a rollback set on the target, also after a second prepare that failed", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    await switchCutover("rollback", pair);
    await withSession(pair.targetUrl, async (session) => {
      await session.unsafe("BEGIN READ WRITE; LOCK TABLE ack IN ROW EXCLUSIVE MODE").simple();
      const preparing = prepareCutover(pair);
      preparing.catch(() => {});
      await waitUntil("prepare waits for the lock", async () => {
        const canceled = await query(
          pair.targetUrl,
          `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
              AND query LIKE '%ENABLE ALWAYS TRIGGER%'`,
        );
        return canceled.length > 0;
      }, { during: preparing });
      await rejects(preparing);
    });
    const plan = await clean(pair);
    match(
      plan.items.find(({ kind, side }) => kind === "cutover" && side === "target")!.detail,
      /ACCEPT WRITES again/,
    );
    deepStrictEqual(await remains(pair.url), []);
    deepStrictEqual(await remains(pair.targetUrl), []);
    await exec(pair.targetUrl, "INSERT INTO balance VALUES (99, 0)");
  });
});

Deno.test("cleanup gives back the replica identities that init and prepare have changed", async () => {
  await withCutoverPair({ source, target, schema: keyless }, async (pair) => {
    await prepareKeyless(pair);
    const { kept } = await clean(pair);
    deepStrictEqual(kept, []);
    await checkRestored(pair);
  });
});

Deno.test("finish gives them back too", async () => {
  await withCutoverPair({ source, target, schema: keyless }, async (pair) => {
    await prepareKeyless(pair);
    await switchCutover("run", pair);
    await executeFinish({
      ...pair.servers,
      openOldSide: false,
      confirm: () => Promise.resolve(true),
    }, quietRun);
    await checkRestored(pair);
  });
});

for (const lost of ["target", "source"] as const) {
  Deno.test(`the statements that cleanup prints for an unreachable ${lost} remove everything there`, async () => {
    await withCutoverPair({ source, target, schema: keyless }, async (pair) => {
      await prepareKeyless(pair);
      if (lost === "source") await interruptSwitch("run", pair, { isClosed: true });
      else {
        // the fence of the target closes with a read-only default
        await switchCutover("run", pair);
        await switchCutover("rollback", pair);
      }
      const nowhere = await endpointOf(`postgres://nobody@127.0.0.1:1/${pair.name}`, lost);
      const result = await executeCleanup({
        ...pair.servers,
        [lost]: nowhere,
        databases: { include: [pair.name], exclude: [] },
        checkpoints: undefined,
        confirm: () => Promise.resolve(true),
      }, quietRun);
      ok(result.kind === "removed");
      deepStrictEqual(result.report.failed, []);
      const [reached, other] = lost === "target"
        ? [pair.url, pair.targetUrl]
        : [pair.targetUrl, pair.url];
      deepStrictEqual(await remains(reached), []);
      await withSession(other, async (session) => {
        for (const statement of result.report.unreachable[0]!.byHand) {
          // of what applies the changes, one does not exist
          const isOther = /seren_apply/.test(statement);
          await session.unsafe(statement).simple().catch((error) => {
            if (!isOther) throw error;
          });
        }
      });
      deepStrictEqual(await remains(other), []);
      await exec(other, "INSERT INTO balance VALUES (94, 0)");
    });
  });
}

Deno.test("those for an unreachable target remove the record of a stream that this tool applies", async () => {
  await withCutoverPair({ source, target, applyFrom: "here" }, async (pair) => {
    const nowhere = await endpointOf(`postgres://nobody@127.0.0.1:1/${pair.name}`, "target");
    const result = await executeCleanup({
      ...pair.servers,
      target: nowhere,
      databases: { include: [pair.name], exclude: [] },
      checkpoints: undefined,
      confirm: () => Promise.resolve(true),
    }, quietRun);
    ok(result.kind === "removed");
    for (const statement of result.report.unreachable[0]!.byHand) {
      await exec(pair.targetUrl, statement).catch((error) => {
        if (!/SUBSCRIPTION/.test(statement)) throw error;
      });
    }
    deepStrictEqual(
      await query(
        pair.targetUrl,
        "SELECT name FROM seren_apply.stream UNION ALL SELECT stream FROM seren_apply.stream_table",
      ),
      [],
    );
  });
});

Deno.test("cleanup removes a switched cutover, with the read-only default of the source", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    ok((await remains(pair.url)).some((what) => /read_only/.test(what)));
    await clean(pair);
    deepStrictEqual(await remains(pair.url), []);
    deepStrictEqual(await remains(pair.targetUrl), []);
  });
});

Deno.test("a switched cutover that was removed from one side only is not prepared again, but removed", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    await exec(pair.targetUrl, "DROP SCHEMA seren_cutover CASCADE");
    const { databases: [state], next } = await executeCutoverStatus(pair.servers, quietRun);
    deepStrictEqual([state!.phase, next], ["contradictory", ["cleanup"]]);
    match(state!.findings[0]!.remedy!, /run cleanup/);
    await rejects(prepareCutover(pair), /nothing was changed/);
    await clean(pair);
    for (const url of [pair.url, pair.targetUrl]) await exec(url, "DELETE FROM ack WHERE false");
  });
});

Deno.test("finish removes the way back and leaves the source closed; cleanup keeps it read-only by default", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    await executeFinish({
      ...pair.servers,
      openOldSide: false,
      confirm: () => Promise.resolve(true),
    }, quietRun);
    deepStrictEqual(await remains(pair.targetUrl), []);
    await exec(pair.targetUrl, "INSERT INTO balance VALUES (98, 0)");
    await rejects(
      exec(pair.url, "BEGIN READ WRITE; INSERT INTO balance VALUES (98, 0); COMMIT"),
      /closed by a cutover; the data is in database/,
    );
    const { databases, next } = await executeCutoverStatus(pair.servers, quietRun);
    strictEqual(databases[0]?.phase, "finished");
    deepStrictEqual(next, ["cleanup"]);
    const plan = await clean(pair);
    deepStrictEqual(plan.items.map(({ kind }) => kind), ["cutover"]);
    match(plan.items[0]!.detail, /stay read-only until you run SET /);
    // a client that lists both servers would return to it
    await rejects(exec(pair.url, "INSERT INTO balance VALUES (97, 0)"), /read-only transaction/);
    await exec(
      pair.url,
      `SET default_transaction_read_only = off; COMMIT;
       ALTER DATABASE "${pair.name}" RESET default_transaction_read_only`,
    );
    deepStrictEqual(await remains(pair.url), []);
  });
});

Deno.test("rehearse predicts the pause without stopping anyone, and leaves the phase", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers: 2 });
    await load.more(20);
    load.takeLongestMs();
    const rehearsal = await executeRehearse({
      now: () => new Date(),
      ...pair.servers,
      maxPauseMs: 30_000,
      tokens: 5,
      brownoutMs: 500,
      sequenceMargin: 1_000,
    }, quietRun);
    ok(rehearsal.predictedPauseMs > 0 && !rehearsal.isRefused);
    // writers really wait for that long, and no longer
    const { brownoutMs } = rehearsal.databases[0]!;
    ok(brownoutMs! > 450 && brownoutMs! <= 500, String(brownoutMs));
    strictEqual(rehearsal.direction, "run");
    await load.more(20);
    ok(load.takeLongestMs() >= 400);
    // a blocker counts too, and Ctrl-C ends it at once
    const stop = new AbortController();
    const events = ({ kind }: RunEvent) => {
      if (kind === "step-started") setTimeout(() => stop.abort(new InterruptedError()), 500);
    };
    const start = performance.now();
    await rejects(
      executeRehearse({
        now: () => new Date(),
        ...pair.servers,
        maxPauseMs: 30_000,
        tokens: 1,
        brownoutMs: 20_000,
        sequenceMargin: 1_000,
      }, { events, signal: stop.signal }),
      InterruptedError,
    );
    ok(performance.now() - start < 15_000);
    await exec(pair.url, "INSERT INTO balance VALUES (97, 0)");
    const { databases, next } = await executeCutoverStatus(pair.servers, quietRun);
    strictEqual(databases[0]?.phase, "prepared");
    deepStrictEqual(databases[0].findings, []);
    match(String(next), /cutover run/);
  });
});

Deno.test("the tripwire reports a change that got past the fence, and none that replication brought", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    await exec(pair.targetUrl, "INSERT INTO balance VALUES (96, 0)");
    const quiet = await executeCutoverStatus(pair.servers, quietRun);
    deepStrictEqual(quiet.databases[0]?.tripwire, []);
    await exec(
      pair.url,
      "BEGIN READ WRITE; ALTER TABLE balance DISABLE TRIGGER seren_fence; INSERT INTO balance VALUES (95, 0); COMMIT",
    );
    const { databases } = await executeCutoverStatus(pair.servers, quietRun);
    deepStrictEqual(
      databases[0]?.tripwire.map(({ change, name }) => ({ change, name })),
      [{ change: "INSERT", name: "balance" }],
    );
    const status = await executeStatus(
      { ...pair.servers, sampleMs: 100, now: () => new Date() },
      quietRun,
    );
    deepStrictEqual(statusFormProblems(status), []);
    strictEqual(status.databases[0]?.cutover?.foreignChanges, 1);
    strictEqual(status.healthy, false);
    ok(status.findings.some(({ id }) => id === "cutover-tripwire"));
    const metrics = prometheusMetrics(status);
    match(metrics, /seren_cutover_foreign_changes\{[^}]*\} 1\n/);
    match(metrics, /seren_cutover_phase\{[^}]*phase="switched"\} 1\n/);
    match(metrics, /seren_cutover_phase\{[^}]*phase="prepared"\} 0\n/);
    await loseSlots(pair.url);
    const [lost] = (await executeCutoverStatus(pair.servers, quietRun)).databases;
    deepStrictEqual(lost?.tripwire, []);
    const messages = lost.findings.map(({ message }) => message).join("\n");
    match(messages, /the slot \S+, kept since this side was closed, was lost/);
    match(messages, /the tripwire is not armed/);
    // the fence that was disabled above would be a reason to refuse the switch
    await exec(
      pair.url,
      "BEGIN READ WRITE; ALTER TABLE balance ENABLE ALWAYS TRIGGER seren_fence; COMMIT",
    );
    await switchCutover("rollback", pair);
    await exec(pair.url, "INSERT INTO balance VALUES (94, 0)");
    await drain(pair.url);
    const rows = "SELECT id FROM balance WHERE id BETWEEN 94 AND 96 ORDER BY id";
    deepStrictEqual((await query(pair.targetUrl, rows)).map(({ id }) => id), [94, 96]);
  });
});

/** Has the server invalidate its idle slots. */
async function loseSlots(url: string): Promise<void> {
  await query(url, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  try {
    await query(url, "SELECT pg_reload_conf()");
    await waitUntil("the slots are lost", async () => {
      for (const statement of ["SELECT pg_switch_wal()", "CHECKPOINT"]) await query(url, statement);
      const kept = await query(
        url,
        "SELECT FROM pg_replication_slots WHERE database = current_database() AND wal_status <> 'lost'",
      );
      return kept.length === 0;
    });
  } finally {
    await query(url, "ALTER SYSTEM RESET max_slot_wal_keep_size");
    await query(url, "SELECT pg_reload_conf()");
  }
}

Deno.test("status shows the phase, and a switched cutover is healthy", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const read = async () => {
      const report = await executeStatus({
        ...pair.servers,
        sampleMs: 100,
        now: () => new Date(),
      }, quietRun);
      deepStrictEqual(statusFormProblems(report), []);
      return report;
    };
    const prepared = await read();
    deepStrictEqual([prepared.databases[0]?.cutover?.phase, prepared.findings], ["prepared", []]);
    await switchCutover("run", pair);
    const switched = await read();
    deepStrictEqual([switched.databases[0]?.cutover?.phase, switched.findings], ["switched", []]);
    strictEqual(switched.healthy, true);
    const { name } = switched.databases[0]!.cutover!.wayBack!;
    await exec(pair.targetUrl, "ALTER TABLE balance ADD COLUMN later int");
    const free = "SET default_transaction_read_only = off; COMMIT;";
    await exec(pair.url, `${free} ALTER SUBSCRIPTION "${name}" DISABLE`);
    const broken = await read();
    strictEqual(broken.healthy, false);
    const wayBack = broken.findings.find(({ id }) => id === "cutover-way-back");
    match(wayBack!.message, /the way back is disabled, not streaming/);
    match(wayBack!.remedy!, /on the source: SET .*; then ALTER SUBSCRIPTION "seren_\w+" ENABLE/);
    // the target is in use: nothing advises to undo what was done there
    const drift = broken.findings.find(({ message }) => /later/.test(message));
    match(drift!.remedy!, /alter the source in the same way/);
    const { databases } = await executeCutoverStatus(pair.servers, quietRun);
    match(
      JSON.stringify(databases[0]!.findings),
      /balance: column later integer is published but missing on the source/,
    );
    await exec(pair.url, `${free} ALTER TABLE balance ADD COLUMN later int`);
    await exec(pair.url, `${free} ALTER SUBSCRIPTION "${name}" ENABLE`);
    for (let attempt = 0; !(await read()).healthy; attempt++) {
      if (attempt > 50) throw new Error("the way back does not run again");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
});
