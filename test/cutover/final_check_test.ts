import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ReplicatorError } from "../../lib/core/internal.ts";
import type { HookRunner } from "../../lib/cutover/switch_options.ts";
import { startAcknowledgedLoad } from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { isLong } from "../support/long.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { pidOf, run } from "./_facts.ts";
import { accepts } from "./open_probe.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const write = "INSERT INTO balance VALUES (-1, 0)";

/** A run that fails and leaves the source in use, with its error. */
async function refusedRun(
  pair: CutoverPair,
  options: Parameters<typeof switchCutover>[2],
): Promise<ReplicatorError> {
  let caught: unknown;
  await rejects(switchCutover("run", pair, options), (error) => {
    caught = error;
    return true;
  });
  ok(caught instanceof ReplicatorError, String(caught));
  strictEqual(await accepts(pair.url, write), true);
  strictEqual(await accepts(pair.targetUrl, write), false);
  return caught;
}

Deno.test("DDL that runs on the old side after the preflight abandons the switch, which runs once it is undone", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const hooks: string[] = [];
    const tooShort = await refusedRun(pair, {
      maxPauseMs: 100,
      hook: (name) => void hooks.push(name),
    });
    match(tooShort.message, /the pause is expected to take|replication is too slow/);
    strictEqual(tooShort.exitCode, 3);
    const hook: HookRunner = (name) => {
      hooks.push(name);
      return name === "before" ? exec(pair.url, "ALTER TABLE balance ADD note text") : undefined;
    };
    const error = await refusedRun(pair, { hook });
    match(error.message, /the columns of public\.balance differ from those on the other side/);
    match(error.remedy!, /DDL was run in the meantime/);
    strictEqual(error.exitCode, 6);
    deepStrictEqual(hooks, ["before", "abort"]);
    await exec(pair.url, "ALTER TABLE balance DROP note");
    // the target's is wider on purpose
    await exec(pair.targetUrl, "ALTER TABLE ack ALTER n TYPE numeric");
    const retyped = await refusedRun(pair, {
      hook: (name) =>
        name === "before" ? exec(pair.url, "ALTER TABLE balance ALTER id TYPE bigint") : undefined,
    });
    deepStrictEqual(retyped.details, [
      "public.balance.id: bigint NOT NULL on the source, integer NOT NULL on the target",
    ]);
    await exec(pair.url, "ALTER TABLE balance ALTER id TYPE integer");
    await switchCutover("run", pair);
  });
});

Deno.test("a partition that is created after the preflight abandons the switch: no stream carries its rows", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const hook: HookRunner = (name) =>
      name === "before"
        ? exec(
          pair.url,
          `CREATE TABLE part_7 PARTITION OF part FOR VALUES IN (7);
           INSERT INTO part VALUES (7, 1, 'in no stream')`,
        )
        : undefined;
    const error = await refusedRun(pair, { hook });
    match(error.message, /tables were created in the meantime.*: part_7$/);
    match(error.remedy!, /sync --add-tables/);
    strictEqual(error.exitCode, 6);
  });
});

Deno.test("--final-check counts abandons the switch if a row is missing, and names the table", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await exec(
      pair.targetUrl,
      `BEGIN; ALTER TABLE balance DISABLE TRIGGER seren_fence; DELETE FROM balance WHERE id = 7;
       ALTER TABLE balance ENABLE ALWAYS TRIGGER seren_fence; COMMIT`,
    );
    const error = await refusedRun(pair, { finalCheck: "counts" });
    match(error.message, /1 table differs in the number of rows; writers continue/);
    deepStrictEqual(error.details, ["public.balance: 32 rows, 31 on the other side"]);
    strictEqual(error.exitCode, 6);
    // without it nothing notices
    const report = await switchCutover("run", pair);
    match(report!.unchecked.join("\n"), /numbers of rows were not compared/);
  });
});

Deno.test("writers wait no longer than --max-pause, without an error, if changes stop arriving", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers: 4 });
    await load.more(20);
    await withSession(pair.targetUrl, async (holder) => {
      // later than the tokens that are sent before the barrier
      const hook: HookRunner = (name) =>
        name === "before" ? run(holder, "BEGIN; LOCK TABLE ack IN SHARE MODE") : undefined;
      load.takeLongestMs();
      const error = await refusedRun(pair, { hook, maxPauseMs: 1_000 });
      match(error.message, /exceeded --max-pause \(1\.0 s\); writers continue/);
      await load.more(20);
      const longestMs = load.takeLongestMs();
      ok(longestMs >= 900 && longestMs < 4_000, String(longestMs));
      await run(holder, "ROLLBACK");
    });
    await withSession(pair.url, async (holder) => {
      // conflicts with the barrier, and lets the load write
      await run(holder, "BEGIN; LOCK TABLE balance IN SHARE UPDATE EXCLUSIVE MODE");
      const ranAt: Record<string, number> = {};
      const { details } = await refusedRun(pair, {
        hook: (name) => {
          ranAt[name] = performance.now();
          return Promise.resolve();
        },
        maxPauseMs: 3_000,
      });
      match(details.at(-1)!, /^after the hook before, the barrier is tried for --max-pause/);
      // of 20 attempts, which take more than a minute
      ok(ranAt["abort"]! - ranAt["before"]! < 20_000, JSON.stringify(ranAt));
      await run(holder, "ROLLBACK");
    });
    deepStrictEqual((await load.stop()).errors, {});
    await switchCutover("run", pair);
  });
});

Deno.test(
  "a stream that delivers nothing is refused before anyone waits",
  { ignore: !isLong },
  async () => {
    await withCutoverPair({ source, target }, async (pair) => {
      await prepareCutover(pair);
      await withSession(pair.targetUrl, async (holder) => {
        await run(holder, "BEGIN; LOCK TABLE ack IN SHARE MODE");
        await exec(pair.url, "INSERT INTO ack (writer, n) VALUES (99, 99)");
        const hooks: string[] = [];
        const error = await refusedRun(pair, {
          maxPauseMs: 1_000,
          hook: (name) => void hooks.push(name),
        });
        match(error.message, /did not arrive in time; nothing was changed/);
        strictEqual(error.exitCode, 3);
        deepStrictEqual(hooks, []);
        await run(holder, "ROLLBACK");
      });
      await switchCutover("run", pair);
    });
  },
);

Deno.test("client sessions of the closed side are terminated, unless they are to be kept", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.url, async (client) => {
      const pid = await pidOf(client);
      const isThere = async () =>
        (await query(pair.url, `SELECT FROM pg_stat_activity WHERE pid = ${pid}`)).length > 0;
      await switchCutover("run", pair, { endSessions: false });
      strictEqual(await isThere(), true);
      await switchCutover("rollback", pair, { endSessions: false });
      const report = await switchCutover("run", pair, { endSessions: true });
      strictEqual(await isThere(), false);
      // without the tool's own
      strictEqual(
        report!.steps.find(({ step }) => step === "end-sessions")?.summary,
        `1 session of ${pair.name} terminated`,
      );
    });
  });
});
