import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { testedServers } from "../support/installed.ts";
import {
  endReplication,
  replicate,
  type Replication,
  replicationName,
  until,
} from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import {
  closeTable,
  factVersions,
  fenceFunction,
  fenceTriggers,
  outcome,
  outcomeOf,
  READ_ONLY,
  run,
  withSessions,
} from "./_facts.ts";
import { startTestCluster } from "../support/test_cluster.ts";

const schema = `
  CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
  CREATE TABLE f (id int, n int); ALTER TABLE f REPLICA IDENTITY FULL;
  CREATE TABLE p (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
  CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (10);
  CREATE TABLE token (id text PRIMARY KEY);`;

const fenced = ["t", "f", "p", "p_low"];
/** A publication of 12 takes no partitioned table; its partitions are published by themselves. */
const published = (major: number) => ["t", "f", major >= 13 ? "p" : "p_low"];

const fence = fenceFunction + fenced.map((table) => fenceTriggers(table)).join("");
const closed = fenced.map(closeTable).join("");

/** A fence that lets the workers of subscriptions pass, whatever the mode of its triggers is. */
const fenceThatAsks = fence.replace(
  "BEGIN\n",
  `BEGIN
     IF EXISTS (SELECT FROM pg_catalog.pg_stat_get_subscription(NULL) AS w
                 WHERE w.pid = pg_catalog.pg_backend_pid()) THEN RETURN NULL; END IF;
  `,
);

async function ids(url: string, table = "t"): Promise<readonly unknown[]> {
  return (await query(url, `SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => id);
}

const has = (id: string, table = "token") =>
  `SELECT count(*) > 0 AS ok FROM ${table} WHERE id::text = '${id}'`;

/** Sends a token and waits until it has arrived: everything committed before it has, too. */
async function sendToken({ sourceUrl, targetUrl }: Replication): Promise<void> {
  const id = crypto.randomUUID();
  await exec(sourceUrl, `INSERT INTO token VALUES ('${id}')`);
  await until(targetUrl, has(id));
}

/** Runs a test with a stream between two databases of the cluster. */
async function withStream(
  cluster: Cluster,
  use: (stream: Replication) => Promise<void>,
  prepare: (sourceUrl: string, targetUrl: string) => Promise<void> = async () => {},
): Promise<void> {
  await withDatabase(cluster, undefined, async (source) => {
    await withDatabase(cluster, undefined, async (target) => {
      for (const { url } of [source, target]) await exec(url, schema);
      await prepare(source.url, target.url);
      const stream = await replicate(source.url, target.url, {
        tables: [...published(cluster.major), "token"],
      });
      try {
        await use(stream);
      } finally {
        await endReplication(stream);
      }
    });
  });
}

for (const { label, major, options } of await testedServers(...factVersions)) {
  const cluster = await sharedCluster(major, {
    ...options,
    // commits that are not synchronous stay unflushed
    settings: { synchronous_commit: "on", wal_writer_delay: "10s" },
  });
  const test = (
    name: string,
    use: (stream: Replication) => Promise<void>,
    prepare?: (sourceUrl: string, targetUrl: string) => Promise<void>,
  ) =>
    Deno.test(
      `PostgreSQL ${label}: ${name}`,
      () => withStream(cluster, use, prepare),
    );

  test("an apply worker passes a closed fence and a read-only database", async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await exec(targetUrl, fence + closed);
    const database = new URL(targetUrl).pathname.slice(1);
    await exec(targetUrl, `ALTER DATABASE "${database}" SET default_transaction_read_only = on`);
    // a new worker, which starts in read-only mode
    await restartWorker(stream);
    await exec(
      sourceUrl,
      `INSERT INTO t VALUES (1), (2), (3); INSERT INTO f VALUES (1, 1), (1, 1), (2, 2);
       INSERT INTO p VALUES (1, 1), (2, 2)`,
    );
    await exec(
      sourceUrl,
      `UPDATE t SET n = 7 WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE f SET n = 8 WHERE id = 1;
       DELETE FROM f WHERE id = 2; UPDATE p SET n = 9 WHERE id = 1; DELETE FROM p WHERE id = 2`,
    );
    await sendToken(stream);
    deepStrictEqual(await query(targetUrl, "SELECT id, n FROM t ORDER BY id"), [
      { id: 1, n: 7 },
      { id: 3, n: 0 },
    ]);
    deepStrictEqual(await query(targetUrl, "SELECT id, n FROM f"), [
      { id: 1, n: 8 },
      { id: 1, n: 8 },
    ]);
    deepStrictEqual(await query(targetUrl, "SELECT id, n FROM p"), [{ id: 1, n: 9 }]);
    strictEqual(await outcomeOf(targetUrl, "DELETE FROM t"), READ_ONLY);
    strictEqual(await outcomeOf(targetUrl, "BEGIN READ WRITE; DELETE FROM t; COMMIT"), READ_ONLY);
    await withSession(targetUrl, async (session) => {
      await run(session, "SET default_transaction_read_only = off");
      await run(session, `ALTER DATABASE "${database}" RESET default_transaction_read_only`);
    });
  });

  test("closing a fence under a running stream stops neither the worker nor the stream", async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await exec(targetUrl, fence);
    for (let id = 1; id <= 10; id++) {
      await exec(sourceUrl, `INSERT INTO t VALUES (${id}); INSERT INTO f VALUES (${id}, 0)`);
      if (id === 5) await exec(targetUrl, closed);
      await exec(sourceUrl, `UPDATE t SET n = ${id}; UPDATE f SET n = ${id}`);
    }
    await sendToken(stream);
    for (const table of ["t", "f"]) {
      deepStrictEqual(
        await query(targetUrl, `SELECT count(*)::int AS rows, min(n) FROM ${table}`),
        [
          { rows: 10, min: 10 },
        ],
      );
    }
  });

  test("an applied TRUNCATE fires ALWAYS triggers, which stops the stream, and no ORIGIN triggers", async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await exec(targetUrl, fence + closed);
    await exec(sourceUrl, "INSERT INTO t VALUES (1); TRUNCATE t; INSERT INTO t VALUES (2)");
    await sendToken(stream);
    deepStrictEqual(await ids(targetUrl), [2]);
    await exec(targetUrl, "ALTER TABLE t ENABLE ALWAYS TRIGGER fence_truncate");
    await exec(sourceUrl, "TRUNCATE t; INSERT INTO t VALUES (3)");
    await untilLogged(cluster, targetUrl, "the data has moved to new.example");
    deepStrictEqual(await ids(targetUrl), [2]);
    await exec(targetUrl, "ALTER TABLE t ENABLE TRIGGER fence_truncate");
    await sendToken(stream);
    deepStrictEqual(await ids(targetUrl), [3]);
  });

  test("a table synchronization is blocked by a closed fence, since it uses COPY", async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    for (const url of [sourceUrl, targetUrl]) {
      await exec(url, "CREATE TABLE late (id int PRIMARY KEY)");
    }
    await exec(sourceUrl, "INSERT INTO late VALUES (1)");
    await exec(targetUrl, fence + fenceTriggers("late") + closeTable("late"));
    await exec(sourceUrl, `ALTER PUBLICATION "${stream.name}" ADD TABLE late`);
    await query(targetUrl, `ALTER SUBSCRIPTION "${stream.name}" REFRESH PUBLICATION`);
    await untilLogged(cluster, targetUrl, "the data has moved to new.example");
    deepStrictEqual(await ids(targetUrl, "late"), []);
    await exec(targetUrl, "ALTER TABLE late DISABLE TRIGGER fence");
    await until(targetUrl, has("1", "late"));
    await untilReady(targetUrl);
  });

  test("a fence that recognizes workers passes TRUNCATE and synchronizations, and no session", async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    const always = [...fenced, "late"].map((table) =>
      `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER fence, ENABLE ALWAYS TRIGGER fence_truncate;`
    ).join("");
    for (const url of [sourceUrl, targetUrl]) {
      await exec(url, "CREATE TABLE late (id int PRIMARY KEY)");
    }
    await exec(sourceUrl, "INSERT INTO late VALUES (1)");
    await exec(targetUrl, fenceThatAsks + fenceTriggers("late") + always);
    await exec(sourceUrl, "INSERT INTO t VALUES (1); TRUNCATE t; INSERT INTO t VALUES (2)");
    await sendToken(stream);
    deepStrictEqual(await ids(targetUrl), [2]);
    await exec(sourceUrl, `ALTER PUBLICATION "${stream.name}" ADD TABLE late`);
    await query(targetUrl, `ALTER SUBSCRIPTION "${stream.name}" REFRESH PUBLICATION`);
    await until(targetUrl, has("1", "late"));
    await untilReady(targetUrl);
    for (const sql of ["TRUNCATE t", "DELETE FROM t", "UPDATE late SET id = 3"]) {
      strictEqual(
        await outcomeOf(targetUrl, `SET session_replication_role = replica; ${sql}`),
        READ_ONLY,
        sql,
      );
    }
  });

  test("a disabled subscription's worker exits, its slot becomes inactive, and can be advanced at once", async (stream) => {
    const { name, sourceUrl, targetUrl } = stream;
    await exec(sourceUrl, "INSERT INTO t VALUES (1)");
    await sendToken(stream);
    await disable(stream);
    deepStrictEqual(
      await query(sourceUrl, `SELECT active FROM pg_replication_slots WHERE slot_name = '${name}'`),
      [{ active: false }],
    );
    await exec(sourceUrl, "INSERT INTO t VALUES (2)");
    await query(
      sourceUrl,
      `SELECT pg_replication_slot_advance('${name}', pg_current_wal_insert_lsn())`,
    );
    await exec(sourceUrl, "INSERT INTO t VALUES (3)");
    await query(targetUrl, `ALTER SUBSCRIPTION "${name}" ENABLE`);
    await sendToken(stream);
    deepStrictEqual(await ids(targetUrl), [1, 3], "what was advanced past is never sent");
  });

  test("a slot advanced after the stream is disabled sends nothing applied before, and open transactions in full", async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    const back = replicationName();
    await query(targetUrl, `CREATE PUBLICATION "${back}" FOR TABLE t`);
    await query(targetUrl, `SELECT pg_create_logical_replication_slot('${back}', 'test_decoding')`);
    await exec(sourceUrl, "INSERT INTO t VALUES (1)");
    await withSessions([targetUrl, targetUrl], async (open, other) => {
      await run(open, "BEGIN; INSERT INTO t VALUES (100)");
      await exec(sourceUrl, "INSERT INTO t VALUES (2)");
      await sendToken(stream);
      await disable(stream);
      await query(
        targetUrl,
        `SELECT pg_replication_slot_advance('${back}', pg_current_wal_insert_lsn())`,
      );
      await run(open, "INSERT INTO t VALUES (101); COMMIT");
      await run(other, "INSERT INTO t VALUES (102)");
    });
    deepStrictEqual(await changesOf(targetUrl, back), [
      "BEGIN",
      "100",
      "101",
      "COMMIT",
      "BEGIN",
      "102",
      "COMMIT",
    ]);
  });

  test("a slot advances no further than the WAL is flushed, which a synchronous commit ensures", async (stream) => {
    const { sourceUrl, targetUrl, name } = stream;
    const back = replicationName();
    await query(targetUrl, `ALTER SUBSCRIPTION "${name}" SET (synchronous_commit = off)`);
    await query(targetUrl, `SELECT pg_create_logical_replication_slot('${back}', 'test_decoding')`);
    await sendToken(stream);
    await withSession(targetUrl, async (session) => {
      // an asynchronous commit shows the same as the worker's, without a race
      await run(session, "SET synchronous_commit = off");
      await run(session, "INSERT INTO t VALUES (1)");
      const [row] = await session.unsafe(
        `WITH position AS MATERIALIZED (SELECT pg_current_wal_insert_lsn() AS lsn)
         SELECT (SELECT end_lsn FROM pg_replication_slot_advance('${back}', lsn)) >= lsn AS reached
           FROM position`,
      ).simple() as unknown as { reached: boolean }[];
      strictEqual(row?.reached, false);
    });
    await exec(sourceUrl, "INSERT INTO t VALUES (2)");
    await sendToken(stream);
    await disable(stream);
    // a synchronous commit that writes flushes everything before it
    await exec(targetUrl, "CREATE TABLE mark ()");
    await query(
      targetUrl,
      `SELECT pg_replication_slot_advance('${back}', pg_current_wal_insert_lsn())`,
    );
    await exec(targetUrl, "INSERT INTO t VALUES (3)");
    deepStrictEqual(await changesOf(targetUrl, back), ["BEGIN", "3", "COMMIT"]);
  });

  test("a slot created while a transaction is open waits for it, one made beforehand is ready at once", async ({ targetUrl }) => {
    const [early, late] = [replicationName(), replicationName()];
    await query(targetUrl, `SELECT pg_create_logical_replication_slot('${early}', 'pgoutput')`);
    await withSession(targetUrl, async (open) => {
      await run(open, "BEGIN; INSERT INTO t VALUES (100)");
      strictEqual(
        await outcomeOf(
          targetUrl,
          `SET statement_timeout = '300ms'; SELECT pg_create_logical_replication_slot('${late}', 'pgoutput')`,
        ),
        "57014",
      );
      strictEqual(
        await outcomeOf(
          targetUrl,
          `SET statement_timeout = '10s'; SELECT pg_replication_slot_advance('${early}', pg_current_wal_insert_lsn())`,
        ),
        "done",
      );
      strictEqual(await outcome(open, "COMMIT"), "done");
    });
  });

  test("rows of a table added to a publication arrive only if they were written after the worker learned of it", async (stream) => {
    const { name, sourceUrl, targetUrl } = stream;
    for (const url of [sourceUrl, targetUrl]) {
      await exec(url, "CREATE TABLE late (id text PRIMARY KEY)");
    }
    await exec(sourceUrl, "INSERT INTO late VALUES ('before ADD TABLE')");
    await exec(sourceUrl, `ALTER PUBLICATION "${name}" ADD TABLE late`);
    await exec(sourceUrl, "INSERT INTO late VALUES ('after ADD TABLE')");
    await sendToken(stream);
    await query(
      targetUrl,
      `ALTER SUBSCRIPTION "${name}" REFRESH PUBLICATION WITH (copy_data = false)`,
    );
    deepStrictEqual(
      await query(
        targetUrl,
        "SELECT srsubstate::text AS state FROM pg_subscription_rel WHERE srrelid = 'late'::regclass",
      ),
      [{ state: "r" }],
    );
    await exec(sourceUrl, "INSERT INTO late VALUES ('after REFRESH')");
    await until(targetUrl, has("after REFRESH", "late"));
    deepStrictEqual(await ids(targetUrl, "late"), ["after REFRESH"]);
  });

  test("rows written between ADD TABLE and REFRESH arrive if the worker had not received them yet", async (stream) => {
    const { name, sourceUrl, targetUrl } = stream;
    for (const url of [sourceUrl, targetUrl]) {
      await exec(url, "CREATE TABLE late (id text PRIMARY KEY)");
    }
    await exec(sourceUrl, "INSERT INTO late VALUES ('before ADD TABLE')");
    await exec(sourceUrl, `ALTER PUBLICATION "${name}" ADD TABLE late`);
    await withSessions([sourceUrl, targetUrl], async (open, holder) => {
      await run(open, "BEGIN; INSERT INTO late VALUES ('committed after REFRESH')");
      // stops the worker at a token
      await run(holder, "BEGIN; LOCK TABLE token IN EXCLUSIVE MODE");
      await exec(sourceUrl, "INSERT INTO token VALUES ('stop')");
      await until(
        targetUrl,
        "SELECT count(*) > 0 AS ok FROM pg_locks WHERE relation = 'token'::regclass AND NOT granted",
      );
      await exec(sourceUrl, "INSERT INTO late VALUES ('after ADD TABLE')");
      await query(
        targetUrl,
        `ALTER SUBSCRIPTION "${name}" REFRESH PUBLICATION WITH (copy_data = false)`,
      );
      await run(holder, "COMMIT");
      await run(open, "COMMIT");
    });
    await sendToken(stream);
    deepStrictEqual(await ids(targetUrl, "late"), ["after ADD TABLE", "committed after REFRESH"]);
  });

  test("a disabled subscription cannot be refreshed", async (stream) => {
    await disable(stream);
    strictEqual(
      await outcomeOf(
        stream.targetUrl,
        `ALTER SUBSCRIPTION "${stream.name}" REFRESH PUBLICATION WITH (copy_data = false)`,
      ),
      major >= 15 ? "55000" : "42601",
    );
  });
}

for (const { label, major, options } of await testedServers(...factVersions)) {
  Deno.test(`PostgreSQL ${label}: a synchronous commit after a token makes everything applied before it durable`, async () => {
    await using source = await startTestCluster({ ...options, major });
    await using target = await startTestCluster({ ...options, major });
    const [sourceUrl, targetUrl] = [source.url(), target.url()];
    for (const url of [sourceUrl, targetUrl]) await exec(url, schema);
    // the subscription's own default: the worker commits asynchronously
    const stream = await replicate(sourceUrl, targetUrl, { options: "" });
    for (let round = 1; round <= 5; round++) {
      await exec(
        sourceUrl,
        `INSERT INTO t SELECT ${round} * 1000 + i FROM generate_series(1, 200) AS i`,
      );
      await exec(sourceUrl, `INSERT INTO f SELECT ${round}, i FROM generate_series(1, 200) AS i`);
      await sendToken(stream);
      await withSession(targetUrl, async (session) => {
        await run(session, "SET synchronous_commit = on");
        await run(session, `CREATE TABLE mark_${round} ()`);
      });
      await target.kill("SIGKILL");
      await target.start();
      const counts =
        "SELECT (SELECT count(*) FROM t)::int AS t, (SELECT count(*) FROM f)::int AS f";
      const expected = [{ t: 200 * round, f: 200 * round }];
      deepStrictEqual(await query(targetUrl, counts), expected, "right after the crash");
      await sendToken(stream);
      deepStrictEqual(await query(targetUrl, counts), expected, "after the stream resumed");
    }
  });
}

/** Disables a subscription and waits until its worker has released the slot. */
async function disable({ name, sourceUrl, targetUrl }: Replication): Promise<void> {
  await query(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
  await until(
    targetUrl,
    `SELECT count(*) = 0 AS ok FROM pg_stat_subscription WHERE subname = '${name}' AND pid IS NOT NULL`,
  );
  await until(
    sourceUrl,
    `SELECT NOT active AS ok FROM pg_replication_slots WHERE slot_name = '${name}'`,
  );
}

/**
 * What a slot of the plugin test_decoding has to send: the keys of inserted rows, and the frames.
 */
async function changesOf(url: string, slot: string): Promise<readonly string[]> {
  const changes = await query<{ data: string }>(
    url,
    `SELECT data FROM pg_logical_slot_get_changes('${slot}', NULL, NULL,
       'include-xids', 'false', 'skip-empty-xacts', 'true')`,
  );
  return changes.map(({ data }) => data.match(/id\[integer\]:(\d+)/)?.[1] ?? data);
}

/** Starts a new worker for a subscription. */
async function restartWorker(stream: Replication): Promise<void> {
  await withSession(stream.targetUrl, async (session) => {
    await run(session, "SET default_transaction_read_only = off");
    await run(session, `ALTER SUBSCRIPTION "${stream.name}" DISABLE`);
    await until(
      stream.sourceUrl,
      `SELECT NOT active AS ok FROM pg_replication_slots WHERE slot_name = '${stream.name}'`,
    );
    await run(session, `ALTER SUBSCRIPTION "${stream.name}" ENABLE`);
  });
}

/** Waits until all tables of the subscriptions of a database are ready. */
async function untilReady(url: string): Promise<void> {
  await until(url, "SELECT bool_and(srsubstate = 'r') AS ok FROM pg_subscription_rel");
}

/** Waits until the server has logged an error with this text since the last call. */
async function untilLogged(cluster: Cluster, url: string, text: string): Promise<void> {
  const start = logged.get(cluster) ?? 0;
  await withSession(url, async () => {
    const deadline = performance.now() + 60_000;
    for (;;) {
      const log = await cluster.log();
      const at = log.indexOf(text, start);
      if (at >= 0) {
        logged.set(cluster, log.length);
        return;
      }
      if (performance.now() > deadline) throw new Error(`never logged: ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
}
const logged = new WeakMap<Cluster, number>();
