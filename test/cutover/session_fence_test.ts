/**
 * A role that owns the database but not its tables: `--fence sessions`, the weaker mode.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import type {
  CutoverSwitchPlan,
  CutoverUnfinishedReport,
} from "../../lib/commands/cutover/report.ts";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { checkAcknowledged, startAcknowledgedLoad } from "../support/acknowledged_load.ts";
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
import { installedClient } from "../support/installed.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { runSync } from "../support/sync.ts";
import { kill9, runCutover } from "./run_program.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18, { password: "secret" });

const client = await installedClient();

/** Continuous, but leaves most of the processor to what is tested. */
const pace = { writers: 3, pauseMs: 5 };

interface WeakPair {
  readonly pair: CutoverPair;
  /** The role of the tool on the source. */
  readonly mover: string;
  /** Its URL of the source. */
  readonly moverUrl: string;
  /** URLs of both sides for a role of an application. */
  readonly appUrls: readonly [string, string];
}

/** A pair whose source is used by a role that does not own the tables. */
async function withWeakPair(
  use: (weak: WeakPair) => Promise<void>,
  { sharedMover, applyFrom = "auto" }: {
    /** An existing role of another pair. */
    readonly sharedMover?: string;
    readonly applyFrom?: "auto" | "here";
  } = {},
): Promise<void> {
  await withCutoverPair({ source, target, applyFrom }, async (pair) => {
    const [mover, app] = [sharedMover ?? `mover_${pair.name}`, `app_${pair.name}`];
    const as = (url: string, username: string) =>
      Object.assign(new URL(url), { username, password: "secret" }).href;
    const grants = (role: string) =>
      `GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO ${role};
       GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO ${role};`;
    for (const url of [pair.url, pair.targetUrl]) {
      await exec(url, `CREATE ROLE ${app} LOGIN PASSWORD 'secret'; ${grants(app)}`);
    }
    const [publication] = await query<{ name: string }>(
      pair.url,
      "SELECT pubname AS name FROM pg_publication",
    );
    if (sharedMover === undefined) {
      await exec(
        pair.url,
        `CREATE ROLE ${mover} LOGIN REPLICATION PASSWORD 'secret';
         GRANT pg_signal_backend, pg_create_subscription TO ${mover}`,
      );
    }
    await exec(
      pair.url,
      `${grants(mover)}
       ALTER DATABASE ${pair.name} OWNER TO ${mover};
       ALTER PUBLICATION ${publication!.name} OWNER TO ${mover}`,
    );
    const moverUrl = as(pair.url, mover);
    await use({
      pair: { ...pair, servers: { ...pair.servers, source: await endpointOf(moverUrl, "source") } },
      mover,
      moverUrl,
      appUrls: [as(pair.url, app), as(pair.targetUrl, app)],
    });
  });
}

/** A write that a session makes which turns read-only mode off, while nothing else can happen. */
function writeSync(url: string, psql: string): void {
  const { success, stderr } = new Deno.Command(psql, {
    args: [url, "-Xqc", "INSERT INTO ack (writer, n) VALUES (1000, 1)"],
    env: { PGOPTIONS: "-c default_transaction_read_only=off" },
  }).outputSync();
  ok(success, new TextDecoder().decode(stderr));
}

/** What a terminated session and a read-only one show to its client. */
const refusedCodes = new Set([
  "25006",
  "57P01",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
]);

async function refusal(work: Promise<unknown>): Promise<ReplicatorError> {
  try {
    await work;
  } catch (error) {
    ok(error instanceof ReplicatorError, String(error));
    return error;
  }
  throw new Error("it was not refused");
}

/** What is left of the tool and of a closed side in a database, with plain SQL. */
async function remains(url: string): Promise<readonly string[]> {
  const rows = await query<{ what: string }>(
    url,
    `SELECT 'schema ' || nspname AS what FROM pg_namespace WHERE nspname LIKE 'seren%'
     UNION ALL SELECT 'publication ' || pubname FROM pg_publication
     UNION ALL SELECT 'subscription ' || subname FROM pg_subscription
                 WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
     UNION ALL SELECT 'setting ' || array_to_string(setconfig, ',') FROM pg_db_role_setting
                 WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  return rows.map(({ what }) => what);
}

const write = "DELETE FROM ack WHERE false";

/** Runs cleanup, after which nothing is left and clients can write on both sides. */
async function cleanUp(pair: CutoverPair, appUrls: readonly string[]): Promise<void> {
  await rejects(exec(appUrls[0]!, write), { code: "25006" });
  const result = await executeCleanup({
    ...pair.servers,
    databases: { include: [pair.name], exclude: [] },
    checkpoints: undefined,
    confirm: () => Promise.resolve(true),
  }, quietRun);
  ok(result.kind === "removed");
  deepStrictEqual(result.report.failed, []);
  for (const url of [pair.url, pair.targetUrl]) deepStrictEqual(await remains(url), []);
  for (const url of appUrls) await exec(url, write);
}

Deno.test("without ownership of the tables, a switch, its way back and another one lose no commit, and cleanup opens both sides", async () => {
  await withWeakPair(async ({ pair, appUrls }) => {
    const refused = await refusal(prepareCutover(pair));
    match(refused.details.join("\n"), /does not own .*\n.*--fence sessions/);
    await using writing = startAcknowledgedLoad(appUrls, pace);
    await writing.more(30);
    await prepareCutover(pair, { fence: "sessions" });
    for (const direction of ["run", "rollback", "run"] as const) {
      await writing.more(30);
      const report = await switchCutover(direction, pair);
      deepStrictEqual(report!.warnings.filter((each) => !each.includes("weaker")), []);
      ok(report!.warnings.some((each) => each.includes("weaker")));
      await writing.more(30);
    }
    const outcome = await writing.stop();
    deepStrictEqual(Object.keys(outcome.errors).filter((code) => !refusedCodes.has(code)), []);
    await drain(pair.targetUrl);
    for (const url of [pair.url, pair.targetUrl]) {
      deepStrictEqual(await checkAcknowledged(url, outcome), []);
    }
    ok(await compareRows(pair.url, pair.targetUrl) > 0);
    // what a session writes that turns read-only mode off is found
    await exec(
      appUrls[0],
      "SET default_transaction_read_only = off; COMMIT; INSERT INTO ack (writer, n) VALUES (99, 1)",
    );
    const { databases } = await executeCutoverStatus(pair.servers, quietRun);
    deepStrictEqual(databases[0]!.tripwire.map(({ name, change }) => [name, change]), [[
      "ack",
      "INSERT",
    ]]);
    const late = await refusal(switchCutover("rollback", pair));
    match(late.details.join("\n"), /written to while it was closed: INSERT in public\.ack/);
    await cleanUp(pair, appUrls);
  });
});

Deno.test("a command that was killed while it closed the side is completed by the same command, or given up", async () => {
  await withWeakPair(async ({ pair, moverUrl, appUrls }) => {
    await prepareCutover(pair, { fence: "sessions" });
    await using writing = startAcknowledgedLoad(appUrls, pace);
    const killedAt = async (point: string, command: "run" | "rollback") => {
      const killed = await runCutover(
        { command, sourceUrl: moverUrl, targetUrl: pair.targetUrl, databases: [pair.name] },
        {
          point,
          halts: true,
          act: (child) => {
            kill9(child);
            return Promise.resolve();
          },
        },
      );
      strictEqual(killed.hitAt, point, killed.error);
    };
    for (
      const [point, command] of [["end barrier 1", "run"], ["end fence 1", "rollback"]] as const
    ) {
      await writing.more(20);
      await killedAt(point, command);
      await switchCutover(command, pair);
    }
    // a killed one can also be taken back
    await writing.more(20);
    await killedAt("end barrier 1", "run");
    const { databases } = await executeCutoverStatus(pair.servers, quietRun);
    match(JSON.stringify(databases[0]!.findings), /new sessions are read-only/);
    await rejects(exec(appUrls[0], "DELETE FROM ack WHERE false"), { code: "25006" });
    await prepareCutover(pair, { fence: "sessions" });
    await exec(appUrls[0], "DELETE FROM ack WHERE false");
    await writing.more(20);
    // and with the streams turned around
    await killedAt("end way-back 2", "run");
    await prepareCutover(pair, { fence: "sessions" });
    await exec(appUrls[0], "DELETE FROM ack WHERE false");
    await writing.more(20);
    const outcome = await writing.stop();
    await drain(pair.url);
    for (const url of [pair.url, pair.targetUrl]) {
      deepStrictEqual(await checkAcknowledged(url, outcome), []);
    }
    await killedAt("end barrier 1", "run");
    await cleanUp(pair, appUrls);
  });
});

Deno.test("other sessions cannot hide: they are refused, ended or found, whatever they set and are called", async (test) => {
  await withWeakPair(async ({ pair, moverUrl, appUrls }) => {
    await prepareCutover(pair, { fence: "sessions" });
    await test.step("a session of a superuser is refused before anything is closed", async () => {
      await withSession(pair.url, async (session) => {
        const [own] = await session.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
        const error = await refusal(switchCutover("run", pair));
        strictEqual(error.exitCode, 3);
        match(error.details.join("\n"), new RegExp(`pid ${own!.pid} `));
      });
      await exec(appUrls[0], write);
    });
    await test.step("read-only defaults of roles are found: those that stay writable, and those that cannot write on the other side", async () => {
      const app = new URL(appUrls[0]).username;
      await exec(pair.url, `ALTER ROLE ${app} SET default_transaction_read_only = 'Off'`);
      await exec(pair.targetUrl, `ALTER ROLE ${app} SET default_transaction_read_only = 'TRUE'`);
      const refused = await refusal(switchCutover("run", pair));
      match(
        refused.details.join("\n"),
        new RegExp(`read-only default of their own, .*: ${app}\n`),
      );
      // the database's own precedes it
      await exec(
        pair.url,
        `ALTER ROLE ${app} IN DATABASE ${pair.name} SET default_transaction_read_only = 'YES'`,
      );
      const { databases } = await executeCutoverStatus(pair.servers, quietRun);
      const messages = databases[0]!.findings.map(({ message }) => message).join("\n");
      ok(!messages.includes("of their own"), messages);
      ok(!messages.includes("unlike on the source"), messages);
      await exec(
        pair.url,
        `ALTER ROLE ${app} IN DATABASE ${pair.name} RESET default_transaction_read_only;
         ALTER ROLE ${app} RESET default_transaction_read_only`,
      );
      let warnings = "";
      const confirm = (plan: CutoverSwitchPlan) => {
        warnings = plan.warnings.map(({ message }) => message).join("\n");
        return Promise.resolve(false);
      };
      await switchCutover("run", pair, { confirm });
      match(warnings, new RegExp(`read-only by default, .* unlike on the source: ${app}`));
      await exec(pair.targetUrl, `ALTER ROLE ${app} RESET default_transaction_read_only`);
    });
    await test.step({
      name: "a session that turns read-only mode off abandons the switch, and clients write on",
      ignore: client === undefined,
      fn: async () => {
        let seen = 0;
        const error = await refusal(switchCutover("run", pair, {}, {
          ...quietRun,
          events: (event) => {
            // the streams have just been turned around, and the source is about to be closed
            if (event.kind !== "step-finished" || event.step !== "way-back") return;
            if (++seen === 2) writeSync(appUrls[0], client!.psql);
          },
        }));
        match(error.message, /turned read-only mode off has written/);
        match(error.details.join(), /INSERT in public\.ack at /);
        await exec(appUrls[0], "INSERT INTO ack (writer, n) VALUES (1, 1)");
      },
    });
    await test.step("sessions that bear the name of the tool or of a stream are ended as well", async () => {
      const [stream] = await query<{ name: string }>(
        pair.url,
        "SELECT pubname AS name FROM pg_publication WHERE pubname NOT LIKE '%back%'",
      );
      const named = (url: string, name: string) =>
        Object.assign(new URL(url), { search: `?application_name=${encodeURIComponent(name)}` })
          .href;
      const urls = [
        // an application with the role of the tool and the URL that the tool is given
        named(moverUrl, "postgres-seren-replicator"),
        named(appUrls[0], stream!.name),
      ];
      for (const [at, url] of urls.entries()) {
        if (at > 0) await switchCutover("rollback", pair);
        await withSession(url, async (session) => {
          const [own] = await session.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
          await switchCutover("run", pair, { endSessions: false });
          deepStrictEqual(
            await query(
              pair.url,
              `SELECT application_name FROM pg_stat_activity WHERE pid = ${own!.pid}`,
            ),
            [],
          );
        });
      }
      await rejects(exec(appUrls[0], write), { code: "25006" });
      ok(await compareRows(pair.url, pair.targetUrl) > 0);
    });
  });
});

Deno.test("what a session wrote on the source closed by its sessions is carried once the switch is taken back", async () => {
  await withWeakPair(async ({ pair }) => {
    await prepareCutover(pair, { fence: "sessions" });
    await interruptSwitch("run", pair, { isClosed: true });
    await exec(
      pair.url,
      "SET default_transaction_read_only = off; COMMIT; INSERT INTO ack (writer, n) VALUES (98, 1)",
    );
    await switchCutover("rollback", pair);
    await until(pair.targetUrl, "SELECT EXISTS (SELECT FROM ack WHERE writer = 98) AS ok");
    ok(await compareRows(pair.url, pair.targetUrl) > 0);
  });
});

if (client !== undefined) {
  Deno.test("a switch whose target fails while the source is closed lets clients write there again", async () => {
    await withWeakPair(async ({ pair, appUrls }) => {
      await prepareCutover(pair, { fence: "sessions" });
      const onTarget = (sql: string) => {
        const { success, stderr } = new Deno.Command(client.psql, {
          args: [target.url(), "-Xqc", sql],
          stdout: "null",
        }).outputSync();
        ok(success, new TextDecoder().decode(stderr));
      };
      const allow = (isAllowed: boolean) =>
        `ALTER DATABASE ${pair.name} ALLOW_CONNECTIONS ${isAllowed};`;
      const hooks: string[] = [];
      const reports: CutoverUnfinishedReport[] = [];
      await rejects(switchCutover("run", pair, {
        hook: async (hook) => {
          hooks.push(hook);
          if (hook === "abort") {
            await exec(appUrls[0], "INSERT INTO ack (writer, n) VALUES (96, 1)");
          }
        },
        onUnfinished: (report) => {
          reports.push(report);
          return Promise.resolve();
        },
      }, {
        ...quietRun,
        events: (event) => {
          if (event.kind === "step-finished" && event.step === "barrier") {
            onTarget(
              `${allow(false)}
               SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = '${pair.name}' AND backend_type = 'client backend'`,
            );
          }
          if (event.kind === "warning" && event.message.includes("was not restored")) {
            onTarget(allow(true));
          }
        },
      }));
      deepStrictEqual(hooks, ["before", "abort"]);
      deepStrictEqual(reports.map(({ outcome }) => outcome), ["abandoned"]);
      match(
        reports[0]!.warnings.join("\n"),
        new RegExp(
          `(^|\n)replication of ${pair.name} was not restored: .*not .*accepting connections`,
        ),
      );
      await until(pair.targetUrl, "SELECT EXISTS (SELECT FROM ack WHERE writer = 96) AS ok");
      await switchCutover("run", pair);
      await rejects(exec(appUrls[0], write), { code: "25006" });
    });
  });

  Deno.test("a COMMIT in doubt that did not take effect is undone, and the switch is abandoned", async () => {
    await withWeakPair(async ({ pair, mover, appUrls }) => {
      await prepareCutover(pair, { fence: "sessions" });
      const psql = (sql: string) => {
        const { success, stderr } = new Deno.Command(client.psql, {
          args: [source.url(), "-Xqc", sql],
          stdout: "null",
        }).outputSync();
        ok(success, new TextDecoder().decode(stderr));
      };
      const hooks: string[] = [];
      let outcome: string | undefined;
      const refused = await refusal(switchCutover("run", pair, {
        hook: (hook) => {
          hooks.push(hook);
          return undefined;
        },
        onUnfinished: (report) => {
          outcome = report.outcome;
          return Promise.resolve();
        },
      }, {
        ...quietRun,
        events: (event) => {
          // nothing else can happen in between: the COMMIT is next
          if (event.kind === "step-started" && event.step === "fence") {
            psql(`ALTER ROLE ${mover} NOLOGIN;
                  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE usename = '${mover}' AND backend_type = 'client backend'`);
          }
          if (event.kind === "warning" && /point of no return/.test(event.message)) {
            psql(`ALTER ROLE ${mover} LOGIN`);
          }
        },
      }));
      match(refused.message, /did not take effect; writers continue there/);
      deepStrictEqual([outcome, hooks], ["abandoned", ["before", "abort"]]);
      await exec(appUrls[0], "INSERT INTO ack (writer, n) VALUES (97, 1)");
      await until(pair.targetUrl, "SELECT EXISTS (SELECT FROM ack WHERE writer = 97) AS ok");
      const { databases: [state] } = await executeCutoverStatus(pair.servers, quietRun);
      deepStrictEqual([state!.phase, state!.unfinished], ["prepared", null]);
    });
  });
}

Deno.test("several databases are closed and opened together, and finish can open the old side", async () => {
  await withWeakPair(async (a) => {
    await withWeakPair(async (b) => {
      const pairs = [a, b];
      const names = pairs.map(({ pair }) => pair.name);
      const postgresOf = (url: string) =>
        Object.assign(new URL(url), { pathname: "/postgres" }).href;
      const [sourceUrl, targetUrl] = [postgresOf(a.moverUrl), postgresOf(a.pair.targetUrl)];
      const map = Object.fromEntries(names.map((name) => [name, name]));
      const both: CutoverPair = {
        ...a.pair,
        servers: {
          source: await endpointOf(sourceUrl, "source"),
          target: await endpointOf(targetUrl, "target"),
          databases: { include: names, exclude: [], map },
        },
      };
      await prepareCutover(both, { fence: "sessions" });
      const loads = pairs.map(({ appUrls }) => startAcknowledgedLoad(appUrls, pace));
      const more = () => Promise.all(loads.map((load) => load.more(20)));
      try {
        // dies once one of both is closed for good
        await more();
        const killed = await runCutover(
          { command: "run", sourceUrl, targetUrl, databases: names, map, maxPauseMs: 60_000 },
          {
            point: "begin fence 2",
            halts: true,
            act: (child) => {
              kill9(child);
              return Promise.resolve();
            },
          },
        );
        strictEqual(killed.hitAt, "begin fence 2", killed.error);
        for (const direction of ["rollback", "run"] as const) {
          await switchCutover(direction, both);
          await more();
        }
        const outcomes = await Promise.all(loads.map((load) => load.stop()));
        for (const [at, { pair, appUrls }] of pairs.entries()) {
          await drain(pair.targetUrl);
          for (const url of [pair.url, pair.targetUrl]) {
            deepStrictEqual(await checkAcknowledged(url, outcomes[at]!), []);
          }
          await rejects(exec(appUrls[0], write), { code: "25006" });
        }
      } finally {
        for (const load of loads) await load[Symbol.asyncDispose]();
      }
      const finish = async (openOldSide: boolean) => {
        await executeFinish(
          { ...both.servers, openOldSide, confirm: () => Promise.resolve(true) },
          quietRun,
        );
      };
      await finish(false);
      for (const { appUrls } of pairs) {
        await rejects(exec(appUrls[0], write), { code: "25006" });
        await exec(appUrls[1], write);
      }
      await finish(true);
      for (const { pair, appUrls } of pairs) {
        for (const url of appUrls) await exec(url, write);
        for (const url of [pair.url, pair.targetUrl]) deepStrictEqual(await remains(url), []);
      }
    }, { sharedMover: a.mover });
  });
});

Deno.test("with --apply-from here, a switch and its way back lose no commit", async () => {
  await withWeakPair(async ({ pair, moverUrl, appUrls }) => {
    const following = new AbortController();
    const sync = runSync(moverUrl, pair.targetUrl, {
      include: [pair.name],
      signal: following.signal,
    });
    sync.catch(() => {});
    try {
      await until(
        pair.url,
        "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database() AND active) AS ok",
      );
      await using writing = startAcknowledgedLoad(appUrls, pace);
      await writing.more(20);
      await prepareCutover(pair, { fence: "sessions" });
      for (const direction of ["run", "rollback"] as const) {
        await writing.more(20);
        await switchCutover(direction, pair);
      }
      await writing.more(20);
      const outcome = await writing.stop();
      deepStrictEqual(Object.keys(outcome.errors).filter((code) => !refusedCodes.has(code)), []);
      await drain(pair.url);
      for (const url of [pair.url, pair.targetUrl]) {
        deepStrictEqual(await checkAcknowledged(url, outcome), []);
      }
      ok(await compareRows(pair.url, pair.targetUrl) > 0);
    } finally {
      following.abort();
      await sync.catch(() => {});
    }
  }, { applyFrom: "here" });
});
