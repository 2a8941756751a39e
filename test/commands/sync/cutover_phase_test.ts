import { deepStrictEqual, doesNotMatch, match, ok, rejects, strictEqual } from "node:assert/strict";
import { executeCleanup } from "../../../lib/commands/cleanup/cleanup.ts";
import { executeRehearse } from "../../../lib/commands/cutover/rehearse.ts";
import { executeCutoverStatus } from "../../../lib/commands/cutover/status.ts";
import { executeValidateCutover } from "../../../lib/commands/cutover/validate.ts";
import { executeStatus } from "../../../lib/commands/status/status.ts";
import { openSession } from "../../../lib/postgres/internal.ts";
import { readApplyRecords } from "../../../lib/replication/internal.ts";
import { endpointOf } from "../../support/init.ts";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import {
  interruptSwitch,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../../support/cutover_pair.ts";
import { until } from "../../support/replication.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { runSync } from "../../support/sync.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

Deno.test("sync leaves the streams stopped that a cutover has stopped, and follows again after a rollback", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 0)";
  await withCutoverPair({ source, target, schema }, async (pair) => {
    const { url, targetUrl, name } = pair;
    const sync = () => runSync(url, targetUrl, { include: [name] });
    const enabled =
      "SELECT subenabled AS enabled FROM pg_subscription WHERE subname LIKE 'seren\\_%'";
    await prepareCutover(pair);
    await sync();
    await switchCutover("run", pair);
    for (const options of [{}, { action: { kind: "retry" } as const }]) {
      await rejects(runSync(url, targetUrl, { include: [name], ...options }), (error) => {
        ok(error instanceof ReplicatorError);
        ok(/a cutover has switched/.test(error.message), error.message);
        ok(/cutover rollback/.test(error.remedy ?? ""));
        return true;
      });
    }
    deepStrictEqual(await query(targetUrl, enabled), [{ enabled: false }]);
    for (let count = 0; count < 20; count++) await query(targetUrl, "UPDATE a SET v = v + 1");
    await switchCutover("rollback", pair);
    deepStrictEqual(await query(url, "SELECT v FROM a"), [{ v: 20 }]);
    await sync();
    deepStrictEqual(await query(targetUrl, enabled), [{ enabled: true }]);
  });
});

Deno.test("after a switch that was killed while it turned replication around, every command says so, and sync restores it first", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 0)";
  await withCutoverPair({ source, target, schema }, async (pair) => {
    const { url, targetUrl, name, servers } = pair;
    const sync = () => runSync(url, targetUrl, { include: [name] });
    const enabled = async (side: string) => {
      const [row] = await query<{ enabled: boolean }>(
        side,
        "SELECT subenabled AS enabled FROM pg_subscription WHERE subname LIKE 'seren\\_%'",
      );
      return row!.enabled;
    };
    const streams = async () => ({ forward: await enabled(targetUrl), back: await enabled(url) });
    await prepareCutover(pair);
    await interruptSwitch("run", pair);
    deepStrictEqual(await streams(), { forward: false, back: true });

    const found = /cutover run was interrupted while it turned replication around/;
    const status = await executeCutoverStatus(servers, quietRun);
    match(JSON.stringify(status.databases), found);
    doesNotMatch(JSON.stringify(status.databases), /sync starts it/);
    deepStrictEqual(status.next, ["cutover run"]);
    const now = () => new Date();
    const { findings } = await executeStatus({ ...servers, sampleMs: 0, now }, quietRun);
    deepStrictEqual(findings.map(({ id }) => id), ["cutover-incomplete"]);
    match(findings[0]!.message, found);
    const { checks } = await executeValidateCutover(servers, quietRun);
    match(JSON.stringify(checks), found);
    const rehearsing = executeRehearse(
      { ...servers, maxPauseMs: 5_000, tokens: 1, brownoutMs: undefined, sequenceMargin: 0, now },
      quietRun,
    );
    await rejects(rehearsing, (error) => {
      match(JSON.stringify((error as ReplicatorError).details), found);
      return true;
    });

    await sync();
    deepStrictEqual(await streams(), { forward: true, back: false });
    for (let count = 0; count < 20; count++) await query(url, "UPDATE a SET v = v + 1");
    await sync();
    deepStrictEqual(await query(targetUrl, "SELECT v FROM a"), [{ v: 20 }]);
    deepStrictEqual(await query(url, "SELECT v FROM a"), [{ v: 20 }]);

    // beside a command that has stopped the stream, it is not started again
    const [{ stream } = { stream: "" }] = await query<{ stream: string }>(
      targetUrl,
      "SELECT subname AS stream FROM pg_subscription WHERE subname LIKE 'seren\\_%'",
    );
    await withSession(targetUrl, async (session) => {
      await session.unsafe("SELECT pg_advisory_lock(1397051971, 1)");
      await exec(targetUrl, `ALTER SUBSCRIPTION "${stream}" DISABLE`);
      await rejects(sync(), /another cutover command is working on the database/);
      deepStrictEqual(await streams(), { forward: false, back: false });
    });
    await sync();

    await switchCutover("run", pair);
    await interruptSwitch("rollback", pair);
    deepStrictEqual(await streams(), { forward: true, back: false });
    const switched = await executeCutoverStatus(servers, quietRun);
    match(JSON.stringify(switched.databases), /cutover rollback was interrupted while it turned/);
    doesNotMatch(JSON.stringify(switched.databases), /ALTER SUBSCRIPTION/);
    deepStrictEqual(switched.next, ["cutover rollback"]);
    await rejects(sync(), /a cutover has switched/);
    deepStrictEqual(await streams(), { forward: false, back: true });

    // killed after its point of no return, and taken back
    await interruptSwitch("rollback", pair, { isClosed: true });
    await switchCutover("run", pair);
    deepStrictEqual(await streams(), { forward: false, back: true });
    deepStrictEqual((await executeCutoverStatus(servers, quietRun)).databases[0]!.unfinished, null);
  });
});

Deno.test("streams that this tool applies wait for a rollback, which starts them", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 0)";
  await withCutoverPair({ source, target, schema, applyFrom: "here" }, async (pair) => {
    const { url, targetUrl, name } = pair;
    const stop = new AbortController();
    const start = (signal: AbortSignal) => runSync(url, targetUrl, { include: [name], signal });
    let running = start(stop.signal);
    running.catch(() => {});
    const streams = () =>
      until(
        url,
        "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database() AND active) AS ok",
      );
    await streams();
    await prepareCutover(pair);
    await streams();
    await switchCutover("run", pair);
    stop.abort();
    await running;
    const enabled = "SELECT enabled FROM seren_apply.stream";
    const again = new AbortController();
    running = start(again.signal);
    running.catch(() => {});
    for (let count = 0; count < 20; count++) await query(targetUrl, "UPDATE a SET v = v + 1");
    deepStrictEqual(await query(targetUrl, enabled), [{ enabled: false }]);
    await switchCutover("rollback", pair);
    deepStrictEqual(await query(url, "SELECT v FROM a"), [{ v: 20 }]);
    deepStrictEqual(await query(targetUrl, enabled), [{ enabled: true }]);
    await query(url, "UPDATE a SET v = 21");
    await until(targetUrl, "SELECT v = 21 AS ok FROM a");
    again.abort();
    await running;
  });
});

Deno.test("a rollback that needs sync is refused while none runs, and sync ends with cleanup", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 0)";
  await withCutoverPair({ source, target, schema, applyFrom: "here" }, async (pair) => {
    const { url, targetUrl, name } = pair;
    const stop = new AbortController();
    const start = (signal: AbortSignal) => runSync(url, targetUrl, { include: [name], signal });
    let running = start(stop.signal);
    running.catch(() => {});
    await until(
      url,
      "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database() AND active) AS ok",
    );
    await prepareCutover(pair);
    await switchCutover("run", pair);
    stop.abort();
    await running;
    await rejects(switchCutover("rollback", pair), (error) => {
      ok(error instanceof ReplicatorError);
      strictEqual(error.exitCode, 3, error.message);
      match(error.details.join("\n"), /no sync is running\n.*run sync/);
      return true;
    });
    const { databases } = await executeCutoverStatus(pair.servers, quietRun);
    strictEqual(databases[0]?.phase, "switched");
    match(databases[0].findings.map(({ message }) => message).join(), /no sync is running/);
    running = start(new AbortController().signal);
    await switchCutover("rollback", pair);
    await exec(url, "INSERT INTO a VALUES (2, 0), (3, 0); UPDATE a SET v = 1 WHERE id = 3");
    await until(targetUrl, "SELECT EXISTS (SELECT FROM a WHERE id = 3 AND v = 1) AS ok");
    const result = await executeCleanup({
      ...pair.servers,
      databases: { include: [name], exclude: [] },
      checkpoints: undefined,
      confirm: () => Promise.resolve(true),
    }, quietRun);
    ok(result.kind === "removed");
    deepStrictEqual(result.report.failed, []);
    // its record is gone: it ends by itself, and reports what it has applied since the rollback
    const { report } = await running;
    const applied = report.databases[0]?.streams[0]?.applied;
    // and the row by which the rollback knows that all arrived
    strictEqual(applied?.changes, 3 + 1);
    ok(applied.transactions > 0);
  });
});

Deno.test("records of a schema that has just been dropped are none, not an error", async () => {
  await using session = await openSession(await endpointOf(target.url({}), "target"));
  deepStrictEqual(await readApplyRecords(session), []);
});
