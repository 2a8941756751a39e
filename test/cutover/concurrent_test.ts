import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { hookVariables } from "../../lib/cli/run/hooks.ts";
import { executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { pause, type ReplicatorError } from "../../lib/core/internal.ts";
import { cutoverRunner } from "../../lib/commands/job_runners/run_cutover_job.ts";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { noTableRules } from "../../lib/rules/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  interruptSwitch,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";
import { accepts } from "./open_probe.ts";
import { runCutover } from "./run_program.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const prerequisite = { exitCode: 3 };
const write = "INSERT INTO balance VALUES (-1, 0)";

Deno.test("a second run is refused while the first holds the barrier, and leaves its streams alone", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const { code, error, hitAt } = await runCutover(inputOf(pair), {
      point: "begin fence 1",
      halts: true,
      act: async () => {
        for (const second of [() => switchCutover("run", pair), () => prepareCutover(pair)]) {
          await rejects(second, (error: ReplicatorError) => {
            strictEqual(error.exitCode, prerequisite.exitCode);
            // it is the only reason: what the first is doing is none
            match(error.message, /for 1 reason; nothing was changed/);
            match(error.details.join("\n"), /another cutover command is working .* pid \d+/);
            return true;
          });
        }
        ok((await query(pair.url, "SELECT FROM pg_subscription WHERE subenabled")).length > 0);
      },
    });
    strictEqual(hitAt, "begin fence 1");
    strictEqual(code, 0, error);
    await switchCutover("rollback", pair);
  });
});

Deno.test("a run that was overtaken by a rollback after its commit does not open the target too, nor move its clients", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const suspended = await runCutover(inputOf(pair), {
      point: "end open 2",
      halts: true,
      act: async () => {
        await endSessions(pair, "lock");
        await switchCutover("rollback", pair);
      },
    });
    strictEqual(suspended.code, 3, suspended.error);
    match(suspended.error, /another command has changed the state of the cutover since this run/);
    strictEqual(suspended.lines.some((line) => line.includes('"hook":"switch"')), false);
    strictEqual(await accepts(pair.url, write), true);
    const { code, error } = await runCutover(inputOf(pair), {
      point: "begin open 2",
      halts: true,
      act: async () => {
        strictEqual(await accepts(pair.url, write), false);
        await rejects(switchCutover("rollback", pair), prerequisite);
        // as after a failure of both servers, or of the network
        await endSessions(pair, "application");
        await switchCutover("rollback", pair);
        strictEqual(await accepts(pair.url, write), true);
      },
    });
    ok(code !== 0);
    match(error, /changed the state|failed/);
    strictEqual(await accepts(pair.url, write), true);
    strictEqual(await accepts(pair.targetUrl, write), false);
  });
});

Deno.test("a switch that was suspended for longer than its locks last leaves everything to the command that took over", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    for (
      const [point, command] of [
        ["begin way-back 2", "run"],
        ["end drain 2", "rollback"],
        ["begin barrier 1", "run"],
      ] as const
    ) {
      const maxPauseMs = 8_000;
      const { code, error, hitAt, lines } = await runCutover(
        { ...inputOf(pair), command, maxPauseMs },
        {
          point,
          halts: true,
          act: async () => {
            const until = performance.now() + maxPauseMs;
            // as the servers do, and an operator who follows the remedy; its other sessions live on
            await endSessions(pair, "lock");
            await switchCutover(command, pair);
            await pause(Math.max(0, until - performance.now()));
          },
        },
      );
      const what = `${command} at ${point}: ${error}`;
      strictEqual(hitAt, point, what);
      ok(code !== 0, what);
      match(error, /another command has (taken over|changed the state)/, what);
      strictEqual(lines.some((line) => line.includes('"hook":"abort"')), false, what);
      const [inUse, closed] = command === "run"
        ? [pair.targetUrl, pair.url]
        : [pair.url, pair.targetUrl];
      strictEqual(await accepts(inUse, write), true, what);
      strictEqual(await accepts(closed, write), false, what);
      const enabled = (url: string) =>
        query(
          url,
          "SELECT FROM pg_subscription JOIN pg_database AS d ON d.oid = subdbid WHERE subenabled AND datname = current_database()",
        );
      deepStrictEqual(
        [(await enabled(inUse)).length, (await enabled(closed)).length],
        [0, 1],
        what,
      );
      await exec(inUse, `INSERT INTO balance VALUES (${-command.length}, 1)`);
      await waitUntil(
        "replication to the closed side",
        async () =>
          (await query(closed, `SELECT FROM balance WHERE id = ${-command.length}`)).length === 1,
      );
      await exec(inUse, `DELETE FROM balance WHERE id = ${-command.length}`);
    }
  });
});

Deno.test("an abandoned switch runs the hook abort whoever gets its lock, unless that is another switch", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    for (
      const { url, lock, message = /clients cannot be held/, warning, isSwitch = false } of [
        // as `sync` does, for hours
        {
          url: pair.targetUrl,
          lock: "SELECT pg_advisory_lock_shared(1397051971, 1)",
          warning: /^the slot .* was not dropped, .*: sync is copying tables .*$/,
        },
        {
          url: pair.url,
          lock: "SELECT pg_advisory_lock(1397051971, 1)",
          warning: /^.* was not restored: another cutover command is working .*$/,
        },
        {
          url: pair.url,
          lock: "SELECT pg_advisory_lock_shared(1397051971, 3), pg_advisory_lock(1397051971, 1)",
          message: /another command has taken over/,
          warning: /^$/,
          isSwitch: true,
        },
      ]
    ) {
      await withSession(url, async (other) => {
        const hooks: string[] = [];
        const warnings: string[] = [];
        let locking: Promise<unknown> | undefined;
        const switching = switchCutover("run", pair, {
          hook: async (hook) => {
            hooks.push(hook);
            if (hook !== "before") return;
            // it is granted at the moment in which the switch gives up its own
            locking = other.unsafe(lock).execute();
            await waitUntil("the other command waits", async () =>
              (await query(
                url,
                `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database =
                  (SELECT oid FROM pg_database WHERE datname = current_database())`,
              )).length > 0);
            throw new Error("clients cannot be held");
          },
        }, {
          ...quietRun,
          events: (event) => void (event.kind === "warning" && warnings.push(event.message)),
        });
        await rejects(switching, message);
        await locking;
        deepStrictEqual(hooks, isSwitch ? ["before"] : ["before", "abort"]);
        match(warnings.join("\n"), warning);
      });
    }
    await switchCutover("run", pair);
  });
});

Deno.test("a run that continues after its commit is refused once a rollback has opened the source again", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const { hitAt, code, error, lines } = await runCutover(
      inputOf(pair),
      { point: "begin open 2", halts: true, act: () => endSessions(pair, "application") },
      // it has read that both sides are closed, and is about to continue
      {
        point: "warning 1",
        halts: true,
        act: async () => void await switchCutover("rollback", pair),
      },
    );
    strictEqual(hitAt, "warning 1", error);
    ok(lines.some((line) => line.includes("continuing after the point of no return")));
    strictEqual(code, 3, error);
    match(error, /another command has changed the state of the cutover since this run began/);
    const open = [await accepts(pair.url, write), await accepts(pair.targetUrl, write)];
    deepStrictEqual(open, [true, false]);
    strictEqual(lines.some((line) => line.includes('"hook":"switch"')), false);
  });
});

Deno.test("a job whose worker was lost continues its own switch, but not one that was rolled back", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const runJob = cutoverRunner({ slotTimeoutMs: 30_000, now: () => new Date() });
    let stored: string | undefined;
    const attempt = (number: number, onWritten = () => {}) =>
      runJob({
        ...pair.servers,
        command: "cutover",
        sourceFromTarget: undefined,
        targetFromSource: undefined,
        rules: noTableRules,
        options: { action: "run" },
      }, {
        ...quietRun,
        attempt: number,
        checkpoints: () => ({
          place: "a test",
          read: () => Promise.resolve(stored),
          write: (text) => {
            stored = text;
            onWritten();
            return Promise.resolve();
          },
          remove: () => Promise.resolve(),
        }),
        workspace: "",
        onMeasured: () => {},
        copyWorkers: undefined,
        onUnfinished: () => {},
        onLasting: () => Promise.resolve(),
      });
    const losesWorker = () => {
      throw new Error("the worker is lost");
    };
    await rejects(attempt(1, losesWorker), /the worker is lost/);
    await interruptSwitch("run", pair, { isClosed: true });
    strictEqual((await attempt(2)).exitCode, 0);
    strictEqual(await accepts(pair.targetUrl, write), true);
    await switchCutover("rollback", pair);
    await rejects(attempt(1, losesWorker), /the worker is lost/);
    await interruptSwitch("run", pair, { isClosed: true });
    await switchCutover("rollback", pair);
    await rejects(attempt(2), {
      message: /since this run began, which is therefore not continued/,
      ...prerequisite,
    });
    strictEqual(await accepts(pair.url, write), true);
    strictEqual(await accepts(pair.targetUrl, write), false);
  });
});

Deno.test("finish and cleanup hold the lock, and are refused if a switch came between their plan and the answer", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const yes = () => Promise.resolve(true);
    const finish = (confirm: () => Promise<boolean>) =>
      executeFinish({ ...pair.servers, openOldSide: false, confirm }, quietRun);
    const clean = (confirm: () => Promise<boolean>) =>
      executeCleanup({
        ...pair.servers,
        databases: { include: [pair.name], exclude: [] },
        checkpoints: undefined,
        confirm,
      }, quietRun);
    const open = async () => [await accepts(pair.url, write), await accepts(pair.targetUrl, write)];
    const between = (direction: "run" | "rollback") => async () => {
      await switchCutover(direction, pair);
      return true;
    };
    const isOvertaken = { message: /^another command has changed the state/, ...prerequisite };
    await rejects(clean(() => prepareCutover(pair).then(yes)), isOvertaken);
    await rejects(clean(between("run")), isOvertaken);
    deepStrictEqual(await open(), [false, true]);
    // while another command is at work
    await withSession(pair.targetUrl, async (other) => {
      const lock = async () => {
        await other.unsafe("SELECT pg_advisory_lock(1397051971, 1)");
        return true;
      };
      const isLocked = { message: /^another cutover command is working/, ...prerequisite };
      await rejects(finish(lock), isLocked);
      await rejects(clean(yes), isLocked);
    });
    await rejects(finish(between("rollback")), isOvertaken);
    deepStrictEqual(await open(), [true, false]);
    // nothing is missing
    await switchCutover("run", pair);
    await finish(yes);
    deepStrictEqual(await open(), [false, true]);
  });
});

Deno.test("a run whose question was open for long checks again what it had found, and runs no hook", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const hooks: string[] = [];
    const after = (meanwhile: () => Promise<unknown>, isContinued = false) =>
      switchCutover("run", pair, {
        isContinued,
        confirm: async () => {
          await meanwhile();
          return true;
        },
        hook: (hook) => void hooks.push(hook),
      });
    const refused = (details: RegExp) => (error: ReplicatorError) => {
      strictEqual(error.exitCode, 3);
      match(error.details.join("\n"), details);
      return true;
    };
    // a fence that would let writers pass
    await rejects(
      after(() =>
        exec(
          pair.url,
          "CREATE OR REPLACE FUNCTION seren_cutover.refuse_write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        )
      ),
      refused(/function of the fence/),
    );
    strictEqual(await accepts(pair.url, write), true);
    await prepareCutover(pair);
    await rejects(after(() => switchCutover("run", pair)), refused(/the target is in use already/));
    strictEqual(await accepts(pair.targetUrl, write), true);
    // of a job: its worker was taken for lost, and has completed the switch
    await switchCutover("rollback", pair);
    const report = await after(() => switchCutover("run", pair), true);
    match(String(report?.warnings), /^an earlier attempt/);
    strictEqual(report?.databases.length, 1);
    deepStrictEqual(hooks, []);
  });
});

Deno.test("a run that was killed before its hooks is repeated with the databases that they need", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const { hitAt } = await runCutover(inputOf(pair), {
      point: "begin hook-switch 1",
      halts: true,
      act: (child) => Promise.resolve(child.kill("SIGKILL")),
    });
    strictEqual(hitAt, "begin hook-switch 1");
    const seen: Record<string, string>[] = [];
    await switchCutover("run", pair, {
      hook: (hook, routes) => void seen.push(hookVariables(hook, { direction: "run", routes })),
    });
    deepStrictEqual(seen.map(({ SEREN_CUTOVER_HOOK: hook }) => hook), ["switch", "after"]);
    const [{ host, port }] = pair.servers.target.hosts as [{ host: string; port: number }];
    for (const each of seen) {
      strictEqual(each.SEREN_CUTOVER_DATABASES, pair.name);
      strictEqual(each.SEREN_CUTOVER_TO_HOST, host);
      strictEqual(each.SEREN_CUTOVER_TO_PORT, String(port));
    }
  });
});

for (const point of ["begin fence 1", "end way-back 2"]) {
  Deno.test(`a run that died at ${point} is repeated, and its streams are restored first`, async () => {
    await withCutoverPair({ source, target }, async (pair) => {
      await prepareCutover(pair);
      await runCutover(inputOf(pair), {
        point,
        halts: true,
        act: (child) => Promise.resolve(child.kill("SIGKILL")),
      });
      // between stopping one stream and starting the other
      for (const { name } of await query(pair.url, "SELECT subname AS name FROM pg_subscription")) {
        await query(pair.url, `ALTER SUBSCRIPTION "${name}" DISABLE`);
      }
      const remedy = /run cutover run again, which restores the streams/;
      const { databases } = await executeCutoverStatus(pair.servers, quietRun);
      match(JSON.stringify(databases[0]!.findings), remedy);
      const { findings } = await executeStatus(
        { ...pair.servers, sampleMs: 0, now: () => new Date() },
        quietRun,
      );
      match(findings.find(({ id }) => id === "cutover-incomplete")!.remedy!, remedy);
      await switchCutover("run", pair);
      strictEqual(await accepts(pair.targetUrl, write), true);
    });
  });
}

/** Terminates the sessions that hold the lock of a command, or all that bear the tool's name. */
async function endSessions(
  { url, targetUrl }: CutoverPair,
  which: "lock" | "application",
): Promise<void> {
  const where = which === "lock"
    ? `pid IN (SELECT l.pid FROM pg_locks AS l
                WHERE l.locktype = 'advisory' AND l.classid = 1397051971 AND l.objid = 1)`
    : "application_name = 'postgres-seren-replicator'";
  for (const each of [url, targetUrl]) {
    await query(
      each,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND ${where}`,
    );
  }
}

function inputOf({ url, targetUrl, name, servers }: CutoverPair) {
  return {
    command: "run",
    sourceUrl: url,
    targetUrl,
    databases: [name],
    map: servers.databases.map,
    maxPauseMs: 60_000, // it is halted for a while
  } as const;
}
