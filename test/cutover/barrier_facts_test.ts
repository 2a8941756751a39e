import { deepStrictEqual, doesNotMatch, match, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { testedServers } from "../support/installed.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import {
  closeTable,
  DEADLOCK,
  factVersions,
  fenceFunction,
  fenceTriggers,
  outcome,
  outcomeOf,
  pidOf,
  QUERY_CANCELED,
  READ_ONLY,
  run,
  untilWaiting,
  withSessions,
} from "./_facts.ts";

const schema = `
  CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
  INSERT INTO t VALUES (1), (2);
  CREATE TABLE p (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
  CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (10);
  CREATE TABLE t2 (id int PRIMARY KEY);
  CREATE FUNCTION write_t() RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    UPDATE t SET n = n + 1 WHERE id = 1;
  END $$;
  ${fenceFunction} ${fenceTriggers("t")} ${fenceTriggers("p")} ${fenceTriggers("p_low")}`;

const close = closeTable("t") + closeTable("p") + closeTable("p_low");
const barrier = "LOCK TABLE t, p, p_low IN SHARE ROW EXCLUSIVE MODE";

/** How an application may reach a table, and what it has done before the barrier. */
const writers: Readonly<Record<string, readonly [before: string, write: string]>> = {
  "READ COMMITTED": ["", "UPDATE t SET n = n + 1"],
  "READ COMMITTED, in a transaction": ["BEGIN; SELECT * FROM t", "UPDATE t SET n = n + 1"],
  "REPEATABLE READ with an earlier snapshot": [
    "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM t",
    "UPDATE t SET n = n + 1",
  ],
  "SERIALIZABLE with an earlier snapshot": [
    "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM t",
    "INSERT INTO t VALUES (3)",
  ],
  "a prepared statement with a cached plan": [
    `PREPARE w (int) AS UPDATE t SET n = n + 1 WHERE id = $1;${" EXECUTE w (1);".repeat(7)}`,
    "EXECUTE w (1)",
  ],
  "a prepared INSERT with a cached plan": [
    `PREPARE w (int) AS INSERT INTO t VALUES ($1);
     ${[11, 12, 13, 14, 15, 16, 17].map((id) => `EXECUTE w (${id});`).join(" ")}`,
    "EXECUTE w (18)",
  ],
  "a plpgsql function with a cached plan": [
    "SELECT write_t();".repeat(7),
    "SELECT write_t()",
  ],
  "a plpgsql function in REPEATABLE READ": [
    `${
      "SELECT write_t();".repeat(7)
    } COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM t`,
    "SELECT write_t()",
  ],
  "a writable CTE": ["", "WITH w AS (DELETE FROM t RETURNING id) SELECT count(*) FROM w"],
  "COPY": ["", "COPY t (id) FROM PROGRAM 'echo 5'"],
  "TRUNCATE": ["", "TRUNCATE t"],
  "a partitioned table": ["", "INSERT INTO p VALUES (1)"],
  "a prepared INSERT into a partitioned table": [
    `PREPARE w (int) AS INSERT INTO p VALUES ($1);
     ${[2, 3, 4, 5, 6, 7, 8].map((id) => `EXECUTE w (${id});`).join(" ")}`,
    "EXECUTE w (9)",
  ],
  "a partition": ["", "INSERT INTO p_low VALUES (1)"],
  "a cursor": [
    "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE; FETCH c",
    "UPDATE t SET n = 5 WHERE CURRENT OF c",
  ],
};

for (
  const { label, major, options } of await testedServers(...factVersions)
) {
  const cluster = await sharedCluster(major, {
    ...options,
    settings: { autovacuum_naptime: "1s", deadlock_timeout: "1s", log_lock_waits: "on" },
  });
  const test = (name: string, use: (url: string, database: string) => Promise<void>) =>
    Deno.test(`PostgreSQL ${label}: ${name}`, async () => {
      await withDatabase(cluster, undefined, async ({ url, name }) => {
        await exec(url, schema);
        await use(url, name);
      });
    });

  for (const [name, [before, write]] of Object.entries(writers)) {
    test(`a writer that waits at the barrier is rejected once the fence is committed: ${name}`, async (url) => {
      await withSessions([url, url], async (tool, application) => {
        if (before !== "") await run(application, before);
        const pid = await pidOf(application);
        await run(tool, `BEGIN; ${barrier}`);
        const waiting = outcome(application, write);
        await untilWaiting(url, pid);
        await run(tool, close);
        await run(tool, "COMMIT");
        strictEqual(await waiting, READ_ONLY);
      });
    });
  }

  test("writers wait at the barrier and continue without an error, however it ends", async (url) => {
    for (const end of ["ROLLBACK", "COMMIT", "terminate"]) {
      await withSessions([url, url, url], async (tool, application, other) => {
        const [toolPid, pid] = [await pidOf(tool), await pidOf(application)];
        await run(tool, `BEGIN; ${barrier}; ${close}`);
        if (end === "COMMIT") await run(tool, "ALTER TABLE t DISABLE TRIGGER fence");
        const waiting = outcome(application, "UPDATE t SET n = n + 1 WHERE id = 1");
        await untilWaiting(url, pid);
        // readers continue, row locks too
        strictEqual(await outcome(other, "SELECT * FROM t FOR SHARE"), "done");
        strictEqual(await outcome(other, "SELECT * FROM p"), "done");
        if (end === "terminate") {
          await query(url, `SELECT pg_terminate_backend(${toolPid})`);
        } else await run(tool, end);
        strictEqual(await waiting, "done");
      });
    }
    deepStrictEqual(await query(url, "SELECT n FROM t WHERE id = 1"), [{ n: 3 }]);
  });

  test("enabling, disabling and creating a trigger need no stronger lock than the barrier; dropping one does", async (url) => {
    await withSessions([url, url], async (tool, reader) => {
      await run(reader, "BEGIN; SELECT * FROM t; SELECT * FROM p");
      const limited = "SET LOCAL lock_timeout = '100ms';";
      await run(tool, `BEGIN; ${barrier}; ${close}`);
      await run(tool, "ALTER TABLE t DISABLE TRIGGER fence");
      await run(
        tool,
        "CREATE TRIGGER more BEFORE UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION fence.reject()",
      );
      const [row] = await tool.unsafe(
        `SELECT string_agg(DISTINCT mode, ',') AS modes FROM pg_locks
          WHERE pid = pg_backend_pid() AND relation = 't'::regclass`,
      ).simple() as unknown as { modes: string }[];
      strictEqual(row?.modes, "ShareRowExclusiveLock");
      strictEqual(await outcome(tool, `${limited} DROP TRIGGER more ON t`), "55P03");
      await run(tool, "ROLLBACK");
      // a partitioned table: triggers of the parent are enabled without waiting for readers too
      await run(tool, `BEGIN; ${limited} ${closeTable("p")} ROLLBACK`);
    });
  });

  test("LOCK TABLE of a partitioned table locks its partitions, unless ONLY", async (url) => {
    await withSession(url, async (tool) => {
      const write = "SET lock_timeout = '100ms'; INSERT INTO p_low VALUES (1)";
      await run(tool, "BEGIN; LOCK TABLE p IN SHARE ROW EXCLUSIVE MODE");
      strictEqual(await outcomeOf(url, write), "55P03");
      await run(tool, "ROLLBACK; BEGIN; LOCK TABLE ONLY p IN SHARE ROW EXCLUSIVE MODE");
      strictEqual(await outcomeOf(url, `BEGIN; ${write}; ROLLBACK`), "done");
      strictEqual(
        await outcomeOf(url, "SET lock_timeout = '100ms'; INSERT INTO p VALUES (1)"),
        "55P03",
      );
      await run(tool, "ROLLBACK");
    });
  });

  test("an application that holds t and wants t2 sees no deadlock, as our LOCK gives way first", async (url) => {
    await withSessions([url, url], async (tool, application) => {
      const [toolPid, pid] = [await pidOf(tool), await pidOf(application)];
      for (let round = 0; round < 2; round++) {
        await run(application, "SET deadlock_timeout = '5s'");
        await run(application, "BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
        await run(
          tool,
          "BEGIN; SET LOCAL deadlock_timeout = '5s'; SET LOCAL statement_timeout = '2s'",
        );
        const locking = outcome(tool, "LOCK TABLE t2, t IN SHARE ROW EXCLUSIVE MODE");
        await untilWaiting(url, toolPid);
        const waiting = outcome(application, `INSERT INTO t2 VALUES (${round})`);
        await untilWaiting(url, pid);
        strictEqual(await locking, QUERY_CANCELED);
        await run(tool, "ROLLBACK");
        strictEqual(await waiting, "done");
        await run(application, "COMMIT");
      }
    });
  });

  test("a LOCK that waits longer than deadlock_timeout gives an application its deadlock", async (url) => {
    await withSessions([url, url], async (tool, application) => {
      const toolPid = await pidOf(tool);
      await run(application, "BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
      // checks much later, so that the application is the one that detects the cycle
      await run(tool, "BEGIN; SET LOCAL deadlock_timeout = '1min'");
      const locking = outcome(tool, "LOCK TABLE t2, t IN SHARE ROW EXCLUSIVE MODE");
      await untilWaiting(url, toolPid);
      strictEqual(await outcome(application, "INSERT INTO t2 VALUES (1)"), DEADLOCK);
      strictEqual(await locking, "done");
    });
  });

  test("a LOCK that waits for less can still complete a cycle of three, and an application sees the deadlock", async (url) => {
    await withSessions([url, url, url], async (tool, first, second) => {
      const [toolPid, firstPid] = [await pidOf(tool), await pidOf(first)];
      await run(second, "SET deadlock_timeout = '1min'");
      await run(second, "BEGIN; SELECT pg_advisory_xact_lock(1)");
      await run(first, "SET deadlock_timeout = '4s'");
      await run(first, "BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
      // has been waiting since before the LOCK below, so that its deadlock check comes during it
      const early = outcome(first, "SELECT pg_advisory_xact_lock(1)");
      await until(
        url,
        `SELECT clock_timestamp() - query_start > '2.8 s' AND wait_event_type = 'Lock' AS ok
           FROM pg_stat_activity WHERE pid = ${firstPid}`,
      );
      await run(
        tool,
        "BEGIN; SET LOCAL deadlock_timeout = '4s'; SET LOCAL statement_timeout = '1600ms'",
      );
      const locking = outcome(tool, "LOCK TABLE t2, t IN SHARE ROW EXCLUSIVE MODE");
      await untilWaiting(url, toolPid);
      const late = outcome(second, "INSERT INTO t2 VALUES (1)");
      strictEqual(await early, DEADLOCK);
      await locking;
      await run(tool, "ROLLBACK");
      strictEqual(await late, "done");
    });
  });

  test("NOWAIT never takes part in a cycle, and needs every table to be free at once", async (url) => {
    await withSessions([url, url], async (tool, application) => {
      await run(application, "BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
      strictEqual(
        await outcome(tool, "BEGIN; LOCK TABLE t2, t IN SHARE ROW EXCLUSIVE MODE NOWAIT"),
        "55P03",
      );
      await run(tool, "ROLLBACK");
      strictEqual(await outcome(application, "INSERT INTO t2 VALUES (1)"), "done");
    });
  });

  test("a prepared transaction blocks the barrier and has no process to show", async (url) => {
    await exec(url, "BEGIN; UPDATE t SET n = 5; PREPARE TRANSACTION 'facts'");
    try {
      await withSession(url, async (tool) => {
        const pid = await pidOf(tool);
        await run(tool, "BEGIN; SET LOCAL statement_timeout = '2s'");
        const locking = outcome(tool, barrier);
        await untilWaiting(url, pid);
        deepStrictEqual(await query(url, `SELECT pg_blocking_pids(${pid})::text AS pids`), [
          { pids: "{0}" },
        ]);
        strictEqual(await locking, QUERY_CANCELED);
      });
    } finally {
      await query(url, "ROLLBACK PREPARED 'facts'");
    }
  });

  test("a table's owner needs no other privilege for the barrier", async (url, database) => {
    const owner = `${database}_owner`;
    await exec(
      url,
      `CREATE ROLE ${owner} LOGIN; ALTER TABLE t OWNER TO ${owner};
       GRANT USAGE ON SCHEMA public TO ${owner}`,
    );
    try {
      const ownerUrl = cluster.url({ database, user: owner });
      const lock = "BEGIN; LOCK TABLE public.t IN SHARE ROW EXCLUSIVE MODE; ROLLBACK";
      strictEqual(await outcomeOf(ownerUrl, lock), "done");
      strictEqual(await outcomeOf(ownerUrl, lock.replace("public.t ", "public.t2 ")), "42501");
    } finally {
      await exec(url, `DROP OWNED BY ${owner} CASCADE; DROP ROLE ${owner}`);
    }
  });

  test(
    "waiting for one table longer than deadlock_timeout cancels autovacuum, waiting less does not",
    async (url, database) => {
      const owner = `${database}_owner`;
      await exec(
        url,
        `CREATE ROLE ${owner} LOGIN; GRANT USAGE ON SCHEMA public TO ${owner};
       CREATE TABLE slow (id int, filler text) WITH (autovacuum_vacuum_threshold = 1,
         autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,
         autovacuum_vacuum_cost_limit = 1, autovacuum_analyze_threshold = 2000000000);
       ALTER TABLE slow OWNER TO ${owner};
       INSERT INTO slow SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) AS i;
       DELETE FROM slow;`,
      );
      try {
        const pid = await vacuumOf(url, "slow");
        const ownerUrl = cluster.url({ database, user: owner });
        await withSession(ownerUrl, async (tool) => {
          const lock = "LOCK TABLE public.slow IN SHARE ROW EXCLUSIVE MODE";
          for (let attempt = 0; attempt < 4; attempt++) {
            await run(tool, "BEGIN; SET LOCAL statement_timeout = '400ms'");
            strictEqual(await outcome(tool, lock), QUERY_CANCELED);
            await run(tool, "ROLLBACK");
          }
          strictEqual(await vacuumOf(url, "slow"), pid, "it is still the same one");
          doesNotMatch(await logOf(cluster, database), /canceling autovacuum task/);
          await run(tool, "BEGIN");
          strictEqual(await outcome(tool, lock), "done");
          await run(tool, "ROLLBACK");
        });
        match(await logOf(cluster, database), /canceling autovacuum task/);
      } finally {
        await exec(url, `DROP OWNED BY ${owner} CASCADE; DROP ROLE ${owner}`);
      }
    },
  );

  test("waiting never cancels an autovacuum that prevents wraparound", async (url) => {
    await exec(
      url,
      `CREATE TABLE old (id int, filler text) WITH (autovacuum_enabled = false, autovacuum_freeze_max_age = 100000,
         autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
       INSERT INTO old SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) AS i`,
    );
    await exec(
      url,
      `DO $$ BEGIN
         FOR i IN 1..101000 LOOP
           BEGIN INSERT INTO t2 VALUES (i); EXCEPTION WHEN division_by_zero THEN END;
         END LOOP;
       END $$`,
    );
    // the DO block assigned only its own ID if this is not true
    strictEqual(
      (await query(
        url,
        "SELECT age(relfrozenxid) > 100000 AS old FROM pg_class WHERE relname = 'old'",
      ))[0]
        ?.old,
      true,
    );
    const pid = await vacuumOf(url, "old");
    const lock = "LOCK TABLE old IN SHARE ROW EXCLUSIVE MODE";
    await withSession(url, async (tool) => {
      await run(tool, "BEGIN; SET LOCAL statement_timeout = '2500ms'");
      strictEqual(await outcome(tool, lock), QUERY_CANCELED);
      await run(tool, "ROLLBACK");
    });
    strictEqual(await vacuumOf(url, "old"), pid, "it is still the same one");
    await query(url, `SELECT pg_terminate_backend(${pid})`);
  });
}

/** Waits until an autovacuum worker holds a table, and returns its process ID. */
async function vacuumOf(url: string, table: string): Promise<number> {
  const holders = `FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.relation = '${table}'::regclass AND l.granted AND a.backend_type = 'autovacuum worker'`;
  await until(url, `SELECT count(*) > 0 AS ok ${holders}`);
  const [row] = await query<{ pid: number }>(url, `SELECT a.pid ${holders}`);
  return row!.pid;
}

/** What the server logged about cancelled autovacuums of a database. */
async function logOf(cluster: Cluster, database: string): Promise<string> {
  const lines = (await cluster.log()).split("\n");
  return lines.filter((line, at) =>
    line.includes("canceling autovacuum task") &&
    lines.slice(at, at + 3).some((near) => near.includes(`"${database}.`))
  ).join("\n");
}
