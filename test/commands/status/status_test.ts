/** What `status` reports about replication between real servers. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import {
  checkStatus,
  executeStatus,
  StatusMonitor,
  type StatusReport,
} from "../../../lib/commands/status/status.ts";
import { createLedgerStatements, ledgerFormat } from "../../../lib/checkpoint/ledger_sql.ts";
import { resolveEndpoint } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { endReplication, replicate, type Replication, until } from "../../support/replication.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const c12 = await sharedCluster(12);
const c15 = await sharedCluster(15);
const c18 = await sharedCluster(18);

async function optionsFor({ sourceUrl, targetUrl }: Pick<Replication, "sourceUrl" | "targetUrl">) {
  return {
    source: await resolveEndpoint(sourceUrl, { side: "source" }),
    target: await resolveEndpoint(targetUrl, { side: "target" }),
    databases: { include: [decodeURIComponent(new URL(sourceUrl).pathname.slice(1))], exclude: [] },
    sampleMs: 100,
    now: () => new Date("2026-01-02T03:04:05Z"),
  };
}

const context = { events: () => {}, signal: new AbortController().signal };

async function look(replication: Pick<Replication, "sourceUrl" | "targetUrl">) {
  return await executeStatus(await optionsFor(replication), context);
}

/** Reads the status until it meets a condition. */
async function lookUntil(
  replication: Replication,
  wanted: (report: StatusReport) => boolean,
): Promise<StatusReport> {
  await using monitor = new StatusMonitor(await optionsFor(replication), context);
  const deadline = performance.now() + 60_000;
  for (;;) {
    const report = await monitor.read();
    if (wanted(report)) return report;
    if (performance.now() > deadline) {
      throw new Error(`condition never became true: ${wanted}\n${JSON.stringify(report, null, 1)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function only(report: StatusReport) {
  strictEqual(report.databases.length, 1, JSON.stringify(report, null, 1));
  const [database] = report.databases;
  strictEqual(database!.streams.length, 1);
  return { database: database!, stream: database!.streams[0]! };
}

const ids = (report: StatusReport) => report.findings.map(({ id }) => id);
const isIdle = (report: StatusReport) => {
  const stream = report.databases[0]?.streams[0];
  return stream?.state === "streaming" && stream.lagSeconds === 0;
};

const tables = `
  CREATE TABLE t (id int PRIMARY KEY, v text);
  CREATE TABLE u (id int PRIMARY KEY, v text);
  CREATE SEQUENCE s;`;

async function withReplication(
  [from, to]: readonly [Cluster, Cluster],
  use: (replication: Replication) => Promise<void>,
  options: Parameters<typeof replicate>[2] = {},
): Promise<void> {
  await withDatabase(from, undefined, async (a) => {
    await withDatabase(to, undefined, async (b) => {
      await exec(a.url, tables);
      await exec(b.url, tables);
      const replication = await replicate(a.url, b.url, options);
      try {
        await use(replication);
      } finally {
        await endReplication(replication);
      }
    });
  });
}

for (const pair of [[c12, c18], [c15, c15], [c18, c12]] as const) {
  const name = pair.map(({ major }) => major).join(" to ");

  Deno.test(`status() of an idle system: streaming, nothing pending, NULL lag is zero (${name})`, async () => {
    await withReplication(pair, async (replication) => {
      const report = await lookUntil(replication, isIdle);
      const { database, stream } = only(report);
      deepStrictEqual(report.findings, []);
      ok(report.healthy);
      strictEqual(report.at, "2026-01-02T03:04:05.000Z");
      strictEqual(stream.name, replication.name);
      strictEqual(stream.subscription?.tables.length, 2);
      ok(stream.subscription.tables.every(({ state }) => state === "ready"));
      ok(stream.subscription.workerPid! > 0 && stream.slot!.activePid! > 0);
      strictEqual(stream.slot?.walStatus, pair[0].major >= 13 ? "reserved" : null);
      strictEqual(stream.subscription.applyErrors, pair[1].major >= 15 ? 0 : null);
      deepStrictEqual(stream.publication, { tables: 2, allTables: true });
      deepStrictEqual([database.drift, database.sequences], [[], []]);
      const [sender] = await query(
        replication.sourceUrl,
        `SELECT active_pid, confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = '${replication.name}'`,
      );
      strictEqual(stream.slot?.activePid, sender?.["active_pid"]);
      deepStrictEqual(checkStatus(report, { maxLagBytes: 1 << 20, maxLagSeconds: 5 }), {
        ok: true,
        reasons: [],
      });
    });
  });

  Deno.test(`status() reports growing lag while the subscription is disabled (${name})`, async () => {
    await withReplication(pair, async (replication) => {
      const { name, sourceUrl, targetUrl } = replication;
      await lookUntil(replication, isIdle);
      await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
      await until(
        sourceUrl,
        `SELECT NOT active AS ok FROM pg_replication_slots WHERE slot_name = '${name}'`,
      );
      await exec(
        sourceUrl,
        "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 1000) AS i",
      );
      const first = await look(replication);
      const before = only(first).stream;
      await exec(
        sourceUrl,
        "INSERT INTO u SELECT i, repeat('x', 500) FROM generate_series(1, 1000) AS i",
      );
      const second = await look(replication);
      const after = only(second).stream;
      strictEqual(before.state, "disabled");
      ok(before.lagBytes! >= 500_000 && after.lagBytes! >= before.lagBytes! + 500_000);
      deepStrictEqual(ids(second), ["subscription-disabled"]);
      strictEqual(second.healthy, false);
      if (pair[0].major >= 17) ok(after.lagSeconds! > 0);
      const { reasons } = checkStatus(second, { maxLagBytes: 1000, maxLagSeconds: 0 });
      match(reasons.join("\n"), /is disabled/);
      match(reasons.join("\n"), /behind, more than 1000 B/);
      match(reasons.join("\n"), /lag in seconds is unknown|behind, more than 0 ms/);
      await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" ENABLE`);
      ok((await lookUntil(replication, isIdle)).healthy);
    });
  });
}

Deno.test("status() reports the session whose lock blocks the worker, and the lag in seconds", async () => {
  await withReplication([c15, c18], async (replication) => {
    await lookUntil(replication, isIdle);
    await withSession(replication.targetUrl, async (locker) => {
      await locker.unsafe("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").simple();
      const [holder] = await locker.unsafe("SELECT pg_backend_pid() AS pid");
      await exec(replication.sourceUrl, "INSERT INTO t VALUES (1, 'held')");
      const report = await lookUntil(replication, (each) => {
        const { stream } = only(each);
        return stream.state === "blocked" && (stream.lagSeconds ?? 0) > 0.2;
      });
      deepStrictEqual(only(report).stream.subscription?.blockedBy.map((each) => each.pid), [
        holder?.["pid"],
      ]);
      deepStrictEqual(ids(report), ["apply-blocked"]);
      ok(report.healthy);
      ok(!checkStatus(report, { maxLagBytes: undefined, maxLagSeconds: 0.1 }).ok);
      await locker.unsafe("COMMIT").simple();
    });
    await lookUntil(replication, isIdle);
  });
});

for (const [target, options] of [[c15, "disable_on_error = true"], [c18, ""], [c12, ""]] as const) {
  Deno.test(`status() finds an apply error (${target.major}${options === "" ? "" : `, ${options}`})`, async () => {
    await withReplication([c15, target], async (replication) => {
      await lookUntil(replication, isIdle);
      await exec(replication.targetUrl, "INSERT INTO t VALUES (1, 'in the way')");
      await exec(replication.sourceUrl, "INSERT INTO t VALUES (1, 'x')");
      const wanted = target.major >= 15 ? "failing" : "stopped";
      const report = await lookUntil(replication, (each) => only(each).stream.state === wanted);
      strictEqual(report.findings[0]?.id, target.major >= 15 ? "apply-failing" : "apply-stopped");
      strictEqual(report.healthy, false);
      if (target.major >= 15) ok(only(report).stream.subscription!.applyErrors! > 0);
      // a worker that was just restarted never appears to be applying
      for (let look = 0; look < 8; look++) {
        const { healthy, databases } = await lookUntil(replication, () => true);
        ok(!healthy, databases[0]?.streams[0]?.state);
      }
      await exec(replication.targetUrl, "DELETE FROM t");
      await exec(replication.targetUrl, `ALTER SUBSCRIPTION "${replication.name}" ENABLE`);
      const healed = await lookUntil(replication, isIdle);
      ok(healed.healthy);
    }, { options });
  });
}

Deno.test("status() counts conflicts (18)", async () => {
  await withReplication([c15, c18], async (replication) => {
    await exec(replication.sourceUrl, "INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    await lookUntil(replication, isIdle);
    await exec(replication.targetUrl, "DELETE FROM t");
    await exec(
      replication.sourceUrl,
      "UPDATE t SET v = 'z' WHERE id = 1; DELETE FROM t WHERE id = 2",
    );
    const report = await lookUntil(
      replication,
      (each) =>
        ids(each).includes("conflicts") && isIdle(each) &&
        only(each).stream.subscription?.conflicts["delete_missing"] === 1,
    );
    deepStrictEqual(only(report).stream.subscription?.conflicts, {
      update_missing: 1,
      delete_missing: 1,
    });
  });
});

Deno.test("status() reports what DDL changed on one side, object by object, and how far sequences differ", async () => {
  await withReplication([c15, c18], async (replication) => {
    const { sourceUrl, targetUrl, name } = replication;
    await lookUntil(replication, isIdle);
    await exec(
      sourceUrl,
      `CREATE TABLE "Ünew" (id int PRIMARY KEY);
       ALTER TABLE t ADD COLUMN extra int;
       ALTER TABLE t ALTER COLUMN v TYPE varchar(99);
       ALTER TABLE u DROP COLUMN v;
       SELECT setval('s', 42);`,
    );
    const { database } = only(await look(replication));
    deepStrictEqual(
      database.drift?.map(({ kind, name, column }) => [kind, name, column]),
      [
        ["column-type", "t", "v"],
        ["column-added", "t", "extra"],
        ["column-dropped", "u", "v"],
        ["table-missing", "Ünew", null],
      ],
    );
    deepStrictEqual(database.sequences, [
      { schema: "public", name: "s", source: "42", target: "1", distance: 41 },
    ]);
    // it exists now but is not subscribed
    await exec(targetUrl, 'CREATE TABLE "Ünew" (id int PRIMARY KEY); DROP TABLE u');
    await exec(sourceUrl, "DROP TABLE u");
    const later = only(await look(replication)).database.drift ?? [];
    ok(later.some(({ kind }) => kind === "table-not-subscribed"));
    await exec(
      targetUrl,
      `ALTER SUBSCRIPTION "${name}" REFRESH PUBLICATION WITH (copy_data = false)`,
    );
    await exec(targetUrl, "ALTER TABLE t ADD COLUMN extra int, ALTER COLUMN v TYPE varchar(99)");
    deepStrictEqual(only(await look(replication)).database.drift, []);
  });
  await withReplication([c15, c18], async (replication) => {
    await exec(
      replication.sourceUrl,
      "CREATE TABLE fresh (id int PRIMARY KEY); CREATE TABLE common (id int); ALTER TABLE t RENAME TO t2",
    );
    await exec(replication.targetUrl, "CREATE TABLE common (id int)");
    const kinds = only(await look(replication)).database.drift?.map((
      { kind, name },
    ) => [kind, name]);
    deepStrictEqual(kinds, [
      ["table-missing", "t2"],
      ["table-not-published", "common"],
      ["table-added", "fresh"],
      ["table-dropped", "t"],
    ]);
  }, { tables: ["t", "u"] });
});

Deno.test("status() warns of a slot at risk before it is lost, and reports its loss (15)", async () => {
  await using cluster = await startTestCluster({
    major: 15,
    settings: { max_slot_wal_keep_size: "48MB", max_wal_size: "64MB", min_wal_size: "32MB" },
  });
  await withReplication([cluster, c18], async (replication) => {
    const { name, sourceUrl, targetUrl } = replication;
    await lookUntil(replication, isIdle);
    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
    await until(
      sourceUrl,
      `SELECT NOT active AS ok FROM pg_replication_slots WHERE slot_name = '${name}'`,
    );
    const seen: string[] = [];
    for (let round = 0; round < 40 && !seen.at(-1)?.includes("slot-lost"); round++) {
      await exec(
        sourceUrl,
        "INSERT INTO t SELECT i, repeat('x', 900) FROM generate_series(1, 4000) AS i; TRUNCATE t; CHECKPOINT",
      );
      seen.push(ids(await look(replication)).join());
    }
    match(seen.join(" "), /subscription-disabled .*slot-at-risk.* slot-lost/);
    const report = await look(replication);
    const { stream } = only(report);
    strictEqual(stream.state, "lost");
    strictEqual(stream.lagBytes, null);
    ok(ids(report).includes("slot-lost"));
    match(
      checkStatus(report, { maxLagBytes: undefined, maxLagSeconds: undefined }).reasons.join(),
      /invalidated the slot/,
    );
  });
});

Deno.test("status() works if one side is unreachable, and reports which", async () => {
  await withReplication([c15, c18], async (replication) => {
    await lookUntil(replication, isIdle);
    const nowhere = "postgresql://nobody@127.0.0.1:1/x";
    const noTarget = await look({ ...replication, targetUrl: nowhere });
    deepStrictEqual([noTarget.source.reachable, noTarget.target.reachable], [true, false]);
    strictEqual(only(noTarget).stream.state, "unknown");
    ok(only(noTarget).stream.lagBytes !== null);
    strictEqual(noTarget.findings[0]?.id, "target-unreachable");
    const options = await optionsFor({ ...replication, sourceUrl: nowhere });
    const noSource = await executeStatus(
      { ...options, databases: { include: [], exclude: [] } },
      context,
    );
    deepStrictEqual([noSource.source.reachable, noSource.target.reachable], [false, true]);
    const stream = noSource.databases.flatMap(({ streams }) => streams)
      .find(({ name }) => name === replication.name);
    strictEqual(stream?.state, "streaming");
    strictEqual(stream.lagBytes, null);
    match(noSource.source.problem ?? "", /cannot connect/);
  });
});

Deno.test("status() recognizes incomplete streams: no slot, no subscription, nothing at all", async () => {
  await withReplication([c15, c18], async (replication) => {
    const { name, sourceUrl, targetUrl } = replication;
    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
    await until(
      sourceUrl,
      `SELECT NOT active AS ok FROM pg_replication_slots WHERE slot_name = '${name}'`,
    );
    await exec(sourceUrl, `SELECT pg_drop_replication_slot('${name}')`);
    const options = { ...await optionsFor(replication), databases: { include: [], exclude: [] } };
    const report = await executeStatus(options, context);
    const stream = report.databases.flatMap(({ streams }) => streams)
      .find((each) => each.name === name);
    strictEqual(stream?.state, "no-slot");
    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" SET (slot_name = NONE)`);
    await exec(targetUrl, `DROP SUBSCRIPTION "${name}"`);
    deepStrictEqual(ids(await look(replication)), ["no-replication"]);
    await exec(targetUrl, createLedgerStatements);
    const [source] = await query(
      sourceUrl,
      `SELECT system_identifier::text AS "systemIdentifier", current_database() AS database
         FROM pg_control_system()`,
    );
    await query(
      targetUrl,
      "INSERT INTO seren_ledger.run (format, holder, document) VALUES ($1, '', $2::text)",
      [ledgerFormat, JSON.stringify({ source })],
    );
    const unfinished = await look(replication);
    deepStrictEqual(ids(unfinished), ["init-unfinished"]);
    match(unfinished.findings[0]!.message, /^the copy to database .*, begun .* is not complete/);
    await exec(targetUrl, "DROP SCHEMA seren_ledger CASCADE");
    await exec(sourceUrl, `SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
    const half = await look(replication);
    strictEqual(only(half).stream.state, "no-subscription");
    deepStrictEqual(ids(half), ["subscription-missing"]);
  });
});

Deno.test("status() shows several databases, snapshot generations and unusual names, but no slots of others", async () => {
  await withReplication([c15, c18], async (one) => {
    await withReplication([c15, c18], async (two) => {
      const second = await replicate(two.sourceUrl, two.targetUrl, {
        name: `${two.name}_e2`,
        tables: ["u"],
      });
      await query(
        two.sourceUrl,
        "SELECT pg_create_logical_replication_slot('seren_mine', 'pgoutput')",
      );
      try {
        const options = { ...await optionsFor(one), databases: { include: [], exclude: [] } };
        const report = await executeStatus(options, context);
        const streams = report.databases.map((each) => each.streams.map(({ name }) => name));
        deepStrictEqual(
          new Set(streams.map(String)),
          new Set([one.name, `${two.name},${two.name}_e2`]),
        );
        const excluding = { include: [], exclude: ["*"] };
        deepStrictEqual(
          (await executeStatus({ ...options, databases: excluding }, context)).databases,
          [],
        );
      } finally {
        await query(two.sourceUrl, "SELECT pg_drop_replication_slot('seren_mine')");
        await endReplication(second);
      }
    });
  });
});

for (const [from, to] of [[c12, c15], [c18, c12]] as const) {
  Deno.test(`status() works with a role that may only connect (${from.major} to ${to.major})`, async () => {
    await withReplication([from, to], async (replication) => {
      await lookUntil(replication, isIdle);
      for (const url of [replication.sourceUrl, replication.targetUrl]) {
        await exec(url, "CREATE ROLE onlooker LOGIN");
      }
      try {
        const as = (text: string) => {
          const url = new URL(text);
          url.username = "onlooker";
          return url.href;
        };
        const report = await look({
          sourceUrl: as(replication.sourceUrl),
          targetUrl: as(replication.targetUrl),
        });
        const { stream, database } = only(report);
        strictEqual(stream.state, "streaming");
        ok(stream.lagBytes !== null && stream.subscription!.tables.length === 2);
        deepStrictEqual(database.drift, []);
      } finally {
        for (const url of [replication.sourceUrl, replication.targetUrl]) {
          await exec(url, "DROP ROLE onlooker");
        }
      }
    });
  });
}

Deno.test("StatusMonitor recovers when a server comes back", async () => {
  await using target = await startTestCluster({ major: 15 });
  await withReplication([c18, target], async (replication) => {
    await using monitor = new StatusMonitor(await optionsFor(replication), context);
    const first = await monitor.read();
    deepStrictEqual([first.source.reachable, first.target.reachable], [true, true]);
    await target.stop("immediate");
    const without = await monitor.read();
    deepStrictEqual([without.source.reachable, without.target.reachable], [true, false]);
    strictEqual(only(without).stream.state, "unknown");
    await target.start();
    const back = await monitor.read();
    strictEqual(back.target.reachable, true);
    strictEqual(only(back).stream.name, replication.name);
  });
});

Deno.test("status() does not report partitions as drift, published individually or by their root", async () => {
  const tree = `
    CREATE TABLE p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (id);
    CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN (1);`;
  for (const viaRoot of [false, true]) {
    await withDatabase(c15, undefined, async (a) => {
      await withDatabase(c18, undefined, async (b) => {
        for (const { url } of [a, b]) await exec(url, tree);
        const replication = await replicate(a.url, b.url, {
          tables: viaRoot ? ["p WITH (publish_via_partition_root = true)"] : ["p1", "p2a"],
        });
        try {
          deepStrictEqual(only(await look(replication)).database.drift, []);
          await exec(a.url, "CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3)");
          deepStrictEqual(
            only(await look(replication)).database.drift?.map(({ kind, name }) => [kind, name]),
            viaRoot ? [] : [["table-added", "p3"]],
          );
        } finally {
          await endReplication(replication);
        }
      });
    });
  }
});
