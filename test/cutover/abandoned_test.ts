import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import type { CutoverSwitchOptions } from "../../lib/commands/cutover/options.ts";
import { readCutover, routeOf } from "../../lib/commands/cutover/read_cutover.ts";
import type { CutoverUnfinishedReport } from "../../lib/commands/cutover/report.ts";
import { InterruptedError, type RunEvent } from "../../lib/core/internal.ts";
import { tryOpening } from "../../lib/cutover/acquire_opening.ts";
import { DatabaseSwitch } from "../../lib/cutover/database_switch.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { openApplier, readApplierProgress } from "../../lib/replication/internal.ts";
import { acknowledgedSchema, startAcknowledgedLoad } from "../support/acknowledged_load.ts";
import { RunningApplier } from "../support/client_stream.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";
import { pidOf, run } from "./_facts.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const ownSlots = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()";

/** A run that fails: its evidence, and the events that say how long writers waited. */
async function abandoned(pair: CutoverPair, options: Partial<CutoverSwitchOptions>) {
  const reports: CutoverUnfinishedReport[] = [];
  const said: string[] = [];
  const remedies: string[] = [];
  const events = (event: RunEvent) => {
    if (event.kind === "info") said.push(event.message);
    if (event.kind === "info" && event.remedy !== undefined) remedies.push(event.remedy);
  };
  const onUnfinished = (report: CutoverUnfinishedReport) => {
    reports.push(report);
    return Promise.resolve();
  };
  await rejects(
    switchCutover("run", pair, { ...options, onUnfinished }, { ...quietRun, events }),
  );
  strictEqual(reports.length, 1);
  return {
    report: reports[0]!,
    remedies,
    waits: said.find((each) => each.startsWith("writers waited")),
  };
}

Deno.test("a run whose barrier was never granted leaves its attempts, what they waited for, and why it was given up", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.url, async (holder) => {
      await run(holder, "BEGIN; INSERT INTO ack (writer, n) VALUES (99, 99)");
      const pid = await pidOf(holder);
      const { report, remedies, waits } = await abandoned(pair, { barrierAttempts: 2 });
      deepStrictEqual(
        [report.outcome, report.pauseMs, report.failedAttempts, report.attempts.length],
        ["abandoned", 0, 2, 2],
      );
      for (const { ms, blockers } of report.attempts) {
        ok(ms >= 100, String(ms));
        match(blockers.join(), new RegExp(`^${pair.name}: pid ${pid} .*idle in transaction`));
      }
      deepStrictEqual(
        remedies,
        Array(2).fill(
          "commit or roll back in that session, or on the source: " +
            `SELECT pg_catalog.pg_terminate_backend(${pid});`,
        ),
      );
      strictEqual(report.failedAttemptsMs, report.attempts[0]!.ms + report.attempts[1]!.ms);
      match(report.reason.join("\n"), /hold locks on tables in scope; writers continue/);
      match(report.reason.join("\n"), /→ end them, then run cutover run again/);
      strictEqual(report.steps.at(-1)!.step, "barrier");
      // nothing would read the slot before the next run
      deepStrictEqual(await query(pair.targetUrl, ownSlots), []);
      match(waits!, /^writers waited .+ in 2 failed attempts; they have continued$/);
    });
  });
});

Deno.test("a run that is interrupted says which side is in use, and leaves a report", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    for (const moment of ["question", "begun"] as const) {
      const reports: CutoverUnfinishedReport[] = [];
      const stop = new AbortController();
      const end = (): never => {
        stop.abort(new InterruptedError());
        throw stop.signal.reason;
      };
      await rejects(
        switchCutover("run", pair, {
          confirm: () =>
            moment === "question" ? (async () => await end())() : Promise.resolve(true),
          hook: (hook) => hook === "before" && moment === "begun" ? end() : undefined,
          onUnfinished: (report) => {
            reports.push(report);
            return Promise.resolve();
          },
        }, { ...quietRun, signal: stop.signal }),
        {
          message:
            "interrupted; nothing was changed; the source accepts writes, the target refuses them",
          remedy: /cutover run again/,
          exitCode: 130,
        },
      );
      strictEqual(reports.length, 1);
      strictEqual(reports[0]!.outcome, "abandoned");
      match(reports[0]!.reason.join(), /the source accepts writes/);
    }
    // too late to abandon it
    const stop = new AbortController();
    const messages: string[] = [];
    const report = await switchCutover("run", pair, {
      hook: (hook) => {
        if (hook === "switch") stop.abort(new InterruptedError());
        return undefined;
      },
    }, {
      signal: stop.signal,
      events: (event) => void (event.kind === "info" && messages.push(event.message)),
    });
    deepStrictEqual(report!.warnings, []);
    ok(messages.includes("the point of no return has been passed: the switch is completed first"));
  });
});

Deno.test("a run that gives up while writers wait leaves how long they waited", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers: 4 });
    await load.more(20);
    await withSession(pair.targetUrl, async (holder) => {
      const pid = await pidOf(holder);
      // its fence cannot be disabled, which only the pause can notice
      const hold = () => run(holder, "BEGIN; LOCK TABLE ack IN ROW EXCLUSIVE MODE");
      let isReversing: unknown;
      const { report, waits } = await abandoned(pair, {
        hook: async (hook) => {
          if (hook === "before") await hold();
          if (hook !== "abort") return;
          const [row] = await query<{ value: boolean }>(
            pair.targetUrl,
            "SELECT details -> 'isTurning' AS value FROM seren_cutover.side",
          );
          isReversing = row?.value;
        },
      });
      // clients that a pooler holds do not wait for the streams
      strictEqual(isReversing, true);
      strictEqual(report.outcome, "abandoned");
      match(report.reason.join("\n"), new RegExp(`pid ${pid} .*: idle in transaction`));
      ok(report.pauseMs >= 300, String(report.pauseMs));
      const [{ database, waiting } = { database: "", waiting: { sessions: 0, longestMs: 0 } }] =
        report.databases;
      strictEqual(database, pair.name);
      ok(waiting.sessions > 0 && waiting.longestMs > 0, JSON.stringify(waiting));
      match(waits!, /^writers waited .+ while the barrier was held.*; they have continued$/);
    });
    await load.more(20);
    deepStrictEqual((await load.stop()).errors, {});
  });
});

Deno.test("a lock on the side to be opened is found before writers wait, named, and removed on request", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.targetUrl, async (holder) => {
      const pid = await pidOf(holder);
      await run(holder, "BEGIN; LOCK TABLE ack IN ROW EXCLUSIVE MODE");
      const remedy = `SELECT pg_catalog.pg_terminate_backend(${pid});`;
      const { report, remedies } = await abandoned(pair, { barrierAttempts: 2 });
      deepStrictEqual([report.outcome, report.pauseMs, report.attempts], ["abandoned", 0, []]);
      match(
        report.reason.join("\n"),
        new RegExp(
          `locks on the side that is to be opened(.|\n)*pid ${pid} .*: idle in transaction`,
        ),
      );
      match(
        report.reason.join("\n"),
        /→ end them, .*; cutover run ends them with --on-blocker cancel/,
      );
      deepStrictEqual(
        remedies,
        [`commit or roll back in that session, or on the target: ${remedy}`],
      );
      deepStrictEqual(await query(pair.targetUrl, ownSlots), []);
      await switchCutover("run", pair, { onBlocker: "terminate" });
      deepStrictEqual(
        await query(pair.targetUrl, `SELECT FROM pg_stat_activity WHERE pid = ${pid}`),
        [],
      );
    });
  });
});

Deno.test("--on-blocker leaves alone what applies changes on the side to be opened", async () => {
  // locked in the order of their names
  const schema = `${acknowledgedSchema} CREATE TABLE later (id int PRIMARY KEY);`;
  const attempt = (applyFrom: "auto" | "here") =>
    withCutoverPair({ source, target, schema, applyFrom }, async (pair) => {
      const [published] = await query<{ name: string }>(
        pair.url,
        "SELECT pubname AS name FROM pg_publication",
      );
      const { name } = published!;
      await using _applier = applyFrom === "here"
        ? new RunningApplier({ name, sourceUrl: pair.url, targetUrl: pair.targetUrl })
        : undefined;
      await prepareCutover(pair);
      const [database] = await readCutover(pair.servers, quietRun);
      await using held = await DatabaseSwitch.open(routeOf(database!, "run"), quietRun.signal);
      const workerPid = async () => {
        await using session = await openSession(held.route.to);
        return (await readApplierProgress(session, [name]))[0]?.workerPid;
      };
      await waitUntil("changes are applied", async () => await workerPid() !== undefined);
      const pid = await workerPid();
      const said: string[] = [];
      const options = {
        onBlocker: "terminate",
        events: (event: RunEvent) => {
          if (event.kind === "info") said.push(`${event.message}; ${event.remedy}`);
        },
        signal: quietRun.signal,
      } as const;
      await withSession(pair.targetUrl, async (holder) => {
        await run(holder, "BEGIN; LOCK TABLE later IN ACCESS EXCLUSIVE MODE");
        await exec(
          pair.url,
          "BEGIN; INSERT INTO ack (writer, n) VALUES (97, 1); INSERT INTO later VALUES (1); COMMIT",
        );
        await until(
          pair.targetUrl,
          `SELECT count(*) > 0 AS ok FROM pg_locks WHERE pid = ${pid} AND NOT granted`,
        );
        await rejects(
          tryOpening(held, { ...options, barrierAttempts: 4 }),
          /other transactions hold locks on the side that is to be opened/,
        );
        await run(holder, "ROLLBACK");
      });
      match(said.at(-1)!, new RegExp(`pid ${pid} .*; wait until it has applied its transaction$`));
      await tryOpening(held, { ...options, barrierAttempts: 20 });
      strictEqual(await workerPid(), pid);
    });
  await Promise.all([attempt("auto"), attempt("here")]);
});

Deno.test("a switch whose network fails lets writers continue in time, and notices what has ended meanwhile", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const [database] = await readCutover(pair.servers, quietRun);
    const route = routeOf(database!, "run");
    {
      await using held = await DatabaseSwitch.open(route, quietRun.signal);
      const start = performance.now();
      const maxPauseMs = 4_000;
      strictEqual((await held.tryBarrier(maxPauseMs)).isHeld, true);
      const writing = exec(pair.url, "INSERT INTO ack (writer, n) VALUES (98, 1)");
      await new Promise((resolve) => setTimeout(resolve, maxPauseMs / 2));
      await held.prepareFence();
      // from here on it is as silent as if its packets were dropped
      await held.prepareOpening(60_000);
      const [opening] = await query<{ pid: number }>(
        pair.targetUrl,
        `SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND state = 'idle in transaction'`,
      );
      ok(opening !== undefined);
      await rejects(held.checkOpening());
      await writing;
      ok(performance.now() - start < maxPauseMs * 1.5, `${performance.now() - start} ms`);
    }
    // a worker that does not end is an error that names it
    const stream = route.out[0]!;
    const [worker] = await query<{ pid: number }>(
      pair.targetUrl,
      "SELECT pid FROM pg_stat_subscription WHERE subname = $1",
      [stream],
    );
    await using session = await openSession(route.to);
    await using applier = await openApplier(session, { name: stream, stopTimeoutMs: 200 });
    Deno.kill(worker!.pid, "SIGSTOP");
    try {
      await rejects(applier.stop(), new RegExp(`does not stop: .*\\(pid ${worker!.pid}\\)`));
    } finally {
      Deno.kill(worker!.pid, "SIGCONT");
    }
    await applier.stop();
    await applier.start();
  });
});
