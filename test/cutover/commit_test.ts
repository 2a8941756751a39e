import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import postgres from "postgres";
import { readCutover, routeOf } from "../../lib/commands/cutover/read_cutover.ts";
import { commitSide, DatabaseSwitch, restoreIfTurning } from "../../lib/cutover/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { startProxy } from "../support/proxy.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { accepts } from "./open_probe.ts";
import { runCutover } from "./run_program.ts";
import { startTestCluster } from "../support/test_cluster.ts";
import { waitUntil } from "../support/wait.ts";

const shared = await sharedCluster(15);
const target = await sharedCluster(18);
const write = "INSERT INTO balance VALUES (-1, 0)";

Deno.test("a COMMIT that a synchronous standby holds up ends with the pause, and counts as what the server recorded", async () => {
  // its own: the setting concerns the whole server
  await using source = await startTestCluster({ major: 15 });
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    let isFreed = Promise.resolve(false);
    const { code, error, lines } = await runCutover(inputOf(pair), {
      point: "begin fence 1",
      halts: true,
      act: async () => {
        await standbys(pair.url, "absent");
        isFreed = freedFrom(pair.url);
      },
    });
    strictEqual(code, 0, error);
    strictEqual(await isFreed, true);
    await standbys(pair.url, "");
    match(lines.at(-1)!, /synchronous standbys of the source have not confirmed/);
    strictEqual(await accepts(pair.url, write), false);
    strictEqual(await accepts(pair.targetUrl, write), true);
    await switchCutover("rollback", pair);
    await restoresDespiteStandby(pair);
  });
});

Deno.test("neither a transaction that had failed nor the close of another command counts as committed", async () => {
  await withCutoverPair({ source: shared, target }, async (pair) => {
    await prepareCutover(pair);
    const [database] = await readCutover(pair.servers, quietRun);
    const route = routeOf(database!, "run");
    await using failed = await openSession(route.from);
    await rejects(failed.execute("BEGIN; SELECT 1 / 0"), /division by zero/);
    const options = { timeoutMs: 5_000, isCommitted: () => false };
    await rejects(commitSide(failed, options), /rolled the transaction back/);
    await using moved = await DatabaseSwitch.open(route, quietRun.signal);
    strictEqual((await moved.tryBarrier(20_000)).isHeld, true);
    await moved.seal({
      closedAt: new Date().toISOString(),
      heldSince: null,
      tokens: [],
      sequences: 0,
      largeObjects: 0,
      unchecked: [],
    });
    await exec(pair.url, `SELECT pg_terminate_backend(${moved.barrierPid}, 10000)`);
    await exec(
      pair.url,
      "UPDATE seren_cutover.side SET is_open = false, generation = generation + 1",
    );
    await rejects(moved.close(5_000));
    await exec(pair.url, "UPDATE seren_cutover.side SET is_open = true");
  });
});

Deno.test("a run whose target was opened and could not be asked continues with the hooks that follow", async () => {
  const { hostname, port } = new URL(target.url());
  await using proxy = await startProxy({ host: hostname, port: Number(port) });
  await withCutoverPair({ source: shared, target }, async (pair) => {
    const allow = (isAllowed: boolean) =>
      exec(target.url(), `ALTER DATABASE "${pair.name}" ALLOW_CONNECTIONS ${isAllowed}`);
    await prepareCutover(pair);
    const servers = {
      ...pair.servers,
      target: await endpointOf(proxy.url(pair.targetUrl), "target"),
    };
    await withSession(pair.targetUrl, async (observer) => {
      // the answer to its COMMIT is on its way, and gets lost
      const loseAnswer = async () => {
        await waitUntil("the target is open", async () => {
          const [side] = await observer`SELECT is_open FROM seren_cutover.side`;
          return side!["is_open"] === true;
        });
        await allow(false);
        proxy.latencyMs = 0;
        await proxy.cut();
      };
      const hooks: string[] = [];
      let opens = 0;
      let losing: Promise<void> | undefined;
      let allowing: Promise<void> | undefined;
      const report = await switchCutover("run", { ...pair, servers }, {
        hook: (hook) => {
          hooks.push(hook);
          return undefined;
        },
      }, {
        ...quietRun,
        events: (event) => {
          if (event.kind === "step-started" && event.step === "open" && ++opens === 2) {
            proxy.latencyMs = 2_000;
            losing = loseAnswer();
          }
          if (event.kind === "warning" && /^continuing after/.test(event.message)) {
            allowing ??= allow(true);
          }
        },
      }).finally(() => Promise.all([losing, allowing]));
      deepStrictEqual(hooks, ["before", "switch", "after"]);
      ok(allowing !== undefined);
      strictEqual(report!.databases[0]?.database, pair.name);
    });
    strictEqual(await accepts(pair.targetUrl, write), true);
    strictEqual(await accepts(pair.url, write), false);
  });
});

Deno.test("a run that is continued reports the pause since its barrier", async () => {
  await withCutoverPair({ source: shared, target }, async (pair) => {
    await prepareCutover(pair);
    let heldAt = 0;
    await runCutover(inputOf(pair), {
      point: "begin open 2",
      halts: true,
      act: async (child) => {
        heldAt = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        child.kill("SIGKILL");
      },
    });
    strictEqual(await accepts(pair.url, write), false);
    // the first attempt ran it: it could fail now, and the target has to open
    const hook = (name: string) =>
      name === "before" ? Promise.reject(new Error("it is paused")) : Promise.resolve();
    const report = await switchCutover("run", pair, { hook });
    ok(report!.pauseMs >= 1_000, String(report!.pauseMs));
    // the barrier was held before the point
    ok(report!.pauseMs < performance.now() - heldAt + 30_000, String(report!.pauseMs));
  });
});

function inputOf(pair: CutoverPair) {
  return {
    command: "run",
    sourceUrl: pair.url,
    targetUrl: pair.targetUrl,
    databases: [pair.name],
    maxPauseMs: 3_000,
  } as const;
}

async function standbys(url: string, names: string): Promise<void> {
  await exec(url, `ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
  await exec(url, "SELECT pg_reload_conf()");
}

/** Waits until a COMMIT waits for a standby, and then no longer does. */
async function freedFrom(url: string): Promise<boolean> {
  const waiting = () =>
    query<{ pid: number }>(url, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
  let pids: readonly number[] = [];
  await waitUntil("a COMMIT waits", async () => {
    pids = (await waiting()).map(({ pid }) => pid);
    return pids.length > 0;
  });
  await waitUntil("it no longer waits", async () => {
    const now = new Set((await waiting()).map(({ pid }) => pid));
    return !pids.some((pid) => now.has(pid));
  });
  return true;
}

/** A killed run has started the way back, which nobody sees before a standby confirms it. */
async function restoresDespiteStandby(pair: CutoverPair): Promise<void> {
  const committing = async () =>
    (await query<{ pid: number }>(
      pair.url,
      "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'",
    ))[0]?.pid;
  let left: number | undefined;
  let killed = Promise.resolve();
  await runCutover({ ...inputOf(pair), maxPauseMs: 60_000 }, {
    point: "begin way-back 2",
    halts: true,
    act: async (child) => {
      const holder = postgres(pair.url, { max: 1, onnotice: () => {} });
      await holder.unsafe("BEGIN; LOCK TABLE pg_catalog.pg_subscription IN EXCLUSIVE MODE")
        .simple();
      killed = (async () => {
        await waitUntil("the way back to be started", async () =>
          (await query(
            pair.url,
            "SELECT FROM pg_locks WHERE relation = 'pg_subscription'::regclass AND NOT granted",
          )).length > 0);
        await standbys(pair.url, "absent");
        await holder.end();
        await waitUntil("its COMMIT", async () => (left = await committing()) !== undefined);
        child.kill("SIGKILL");
      })();
    },
  });
  await killed;
  const [database] = await readCutover(pair.servers, quietRun);
  let isRestored = false;
  const restoring = restoreIfTurning(routeOf(database!, "run")).then(() => {
    isRestored = true;
  });
  await waitUntil("the way back to be stopped", async () => {
    const pid = await committing();
    return isRestored || pid !== undefined && pid !== left;
  });
  await standbys(pair.url, "");
  await restoring;
  const enabled = (url: string) =>
    query(
      url,
      "SELECT FROM pg_subscription JOIN pg_database AS d ON d.oid = subdbid WHERE subenabled AND datname = current_database()",
    );
  strictEqual((await enabled(pair.url)).length, 0);
  strictEqual((await enabled(pair.targetUrl)).length, 1);
}
