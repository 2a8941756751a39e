import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { accepts } from "./open_probe.ts";
import { runCutover } from "./run_program.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const write = "INSERT INTO balance VALUES (-1, 0)";

Deno.test("a command in the wrong phase is refused with its reason, and changes nothing", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const early = await refused(
      pair,
      () => switchCutover("run", pair),
      /^cutover run was refused for 1 reason/,
    );
    deepStrictEqual(early.details, [`${pair.name}: it is not prepared: run cutover prepare first`]);
    await refused(pair, () => switchCutover("rollback", pair), /run cutover prepare first/);
    await prepareCutover(pair);
    await refused(pair, () => switchCutover("rollback", pair), /nothing to roll back/);
    await switchCutover("run", pair);
    await refused(pair, () => switchCutover("run", pair), /in use already/);
    await refused(pair, () => prepareCutover(pair), /switched/);
    strictEqual(await accepts(pair.targetUrl, write), true);
    await switchCutover("rollback", pair);
    strictEqual(await accepts(pair.url, write), true);
  });
});

Deno.test("a stopped stream, a new table and new partitions are listed together, and nothing is changed", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await exec(
      pair.url,
      `CREATE TABLE new_orders (id int PRIMARY KEY);
       CREATE TABLE part_7 PARTITION OF part FOR VALUES IN (7);
       INSERT INTO part VALUES (7, 1, 'in no stream')`,
    );
    const [row] = await query<{ name: string }>(
      pair.targetUrl,
      `SELECT subname AS name FROM pg_subscription
        WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    await exec(pair.targetUrl, `ALTER SUBSCRIPTION "${row!.name}" DISABLE`);
    await until(
      pair.targetUrl,
      "SELECT count(*) = 0 AS ok FROM pg_stat_subscription WHERE pid IS NOT NULL",
    );
    const error = await refused(pair, () => switchCutover("run", pair), /not streaming/);
    match(
      error.details.join("\n"),
      /tables were created since cutover prepare.*new_orders.*part_7/,
    );
    strictEqual(await accepts(pair.url, write), true);
  });
});

Deno.test("a lock that a frozen process holds is reported with its session and the way to end it", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.url, async (session) => {
      await session.unsafe("SET application_name = 'frozen worker'");
      // the lock of a cutover command
      await session.unsafe("SELECT pg_advisory_lock(1397051971, 1)");
      const [own] = await session.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
      const error = await refused(
        pair,
        () => switchCutover("run", pair),
        /another cutover command/,
      );
      const [holder, remedy] = error.details;
      match(
        holder!,
        new RegExp(
          `^${pair.name}, source: another .*: pid ${
            own!.pid
          } of role \\w+ \\(frozen worker\\), from .*, connected since [-\\d]{10} [:\\d]{8} UTC, last active \\d.* ago`,
        ),
      );
      match(remedy!, new RegExp(`pg_terminate_backend\\(${own!.pid}\\);`));
      await refused(pair, () => prepareCutover(pair), /another cutover command/);
      // it is seen before anything is done
      deepStrictEqual(
        await query(pair.targetUrl, "SELECT FROM pg_replication_slots WHERE slot_type = 'logical'"),
        [],
      );
      const { databases } = await executeCutoverStatus(pair.servers, quietRun);
      match(databases[0]!.findings[0]!.message, /another cutover command/);
    });
    await switchCutover("run", pair);
  });
});

Deno.test("a stream that fails is refused with what to do about the change, not with sync", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await exec(pair.targetUrl, "INSERT INTO balance VALUES (4711, 1)");
    await exec(pair.url, "INSERT INTO balance VALUES (4711, 2)");
    await until(
      pair.targetUrl,
      `SELECT coalesce(max(apply_error_count) > 0, false) AS ok FROM pg_stat_subscription_stats AS s
         JOIN pg_subscription AS p ON p.oid = s.subid
        WHERE p.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    const [row] = await query<{ name: string }>(
      pair.targetUrl,
      `SELECT subname AS name FROM pg_subscription
        WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    // as disable_on_error would: otherwise its worker is started again and again
    await exec(pair.targetUrl, `ALTER SUBSCRIPTION "${row!.name}" DISABLE`);
    const error = await refused(pair, () => prepareCutover(pair), /is failing, not streaming/);
    match(error.details.join("\n"), /not streaming\n.*--skip-lsn/);
  });
});

Deno.test("the same database on both sides, and a side that does not answer, are refused", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const { servers } = pair;
    const before = await digests(pair);
    await rejects(
      switchCutover("run", {
        ...pair,
        servers: {
          ...servers,
          target: await endpointOf(pair.url, "target"),
          databases: { include: [pair.name], exclude: [], map: {} },
        },
      }),
      { exitCode: 3 },
    );
    const nowhere = await endpointOf("postgres://nobody@127.0.0.1:1/none", "target");
    await rejects(
      switchCutover("run", { ...pair, servers: { ...servers, target: nowhere } }),
      { exitCode: 5 },
    );
    deepStrictEqual(await digests(pair), before);
  });
});

Deno.test("a prepared transaction is reported with its name and the way to end it", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await exec(
      pair.url,
      "BEGIN; UPDATE balance SET amount = 0 WHERE id = 1; PREPARE TRANSACTION 'held''s 1'",
    );
    try {
      await refused(pair, () => switchCutover("run", pair), /ROLLBACK PREPARED 'held''s 1'/);
    } finally {
      await exec(pair.url, "ROLLBACK PREPARED 'held''s 1'");
    }
    await switchCutover("run", pair);
  });
});

Deno.test("without a way back, rollback leads out between the commits only, and the reason says so", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair, { wayBack: "none" });
    const { hitAt } = await runCutover({
      command: "run",
      sourceUrl: pair.url,
      targetUrl: pair.targetUrl,
      databases: [pair.name],
      map: pair.servers.databases.map,
      maxPauseMs: 60_000, // it is halted for a while
    }, {
      point: "begin open 2",
      halts: true,
      act: (child) => Promise.resolve(child.kill("SIGKILL")),
    });
    strictEqual(hitAt, "begin open 2");
    strictEqual(await accepts(pair.url, write), false);
    await switchCutover("rollback", pair);
    strictEqual(await accepts(pair.url, write), true);
    strictEqual(await accepts(pair.targetUrl, write), false);
    // the stream to the target runs again
    await switchCutover("run", pair);
    await refused(
      pair,
      () => switchCutover("rollback", pair),
      /prepared without a way back \(--way-back none\)/,
    );
    strictEqual(await accepts(pair.targetUrl, write), true);
    strictEqual(await accepts(pair.url, write), false);
  });
});

async function refused(
  pair: CutoverPair,
  work: () => Promise<unknown>,
  reason: RegExp,
): Promise<ReplicatorError> {
  const before = await digests(pair);
  let caught: unknown;
  try {
    await work();
  } catch (error) {
    caught = error;
  }
  ok(caught instanceof ReplicatorError, String(caught));
  strictEqual(caught.exitCode, 3, caught.message);
  match([caught.message, ...caught.details, caught.remedy].join("\n"), reason);
  deepStrictEqual(await digests(pair), before);
  return caught;
}

/** What a cutover could change on both sides. */
async function digests({ url, targetUrl }: CutoverPair): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  for (const side of [url, targetUrl]) {
    all.push(
      await query(
        side,
        `SELECT (SELECT json_agg(t ORDER BY t.tgrelid, t.tgname)::text
                   FROM (SELECT tgrelid, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal) AS t) AS triggers,
                (SELECT json_agg(s ORDER BY s.subname)::text
                   FROM (SELECT subname, subenabled FROM pg_subscription) AS s) AS subscriptions,
                (SELECT json_agg(r ORDER BY r.prrelid, r.prpubid)::text
                   FROM (SELECT prpubid, prrelid FROM pg_publication_rel) AS r) AS published,
                (SELECT json_agg(n ORDER BY n.nspname)::text
                   FROM (SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_') AS n) AS schemas,
                (SELECT json_agg(c)::text FROM (SELECT setconfig FROM pg_db_role_setting) AS c) AS settings`,
      ),
    );
    const [record] = await query<{ exists: boolean }>(
      side,
      "SELECT to_regclass('seren_cutover.side') IS NOT NULL AS exists",
    );
    if (record?.exists) all.push(await query(side, "SELECT * FROM seren_cutover.side"));
  }
  return all;
}
