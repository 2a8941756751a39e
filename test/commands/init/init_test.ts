/** `init` between real servers: what it copies, what it refuses, and how it fails. */
import { deepStrictEqual, doesNotMatch, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ExitCode, InterruptedError, ReplicatorError } from "../../../lib/core/internal.ts";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import type { InitReport } from "../../../lib/commands/shared/init_report.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { compareDatabases, compareRoles } from "../../support/compare.ts";
import { dropDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { exec, query } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";
import { waitUntil } from "../../support/wait.ts";
import { canMakeSmallDisk, smallDisk } from "../../faults/small_disk.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

/** Creates a database on the source; drops it and its copies afterwards. */
async function withSource(
  name: string,
  sql: string,
  use: (urls: { readonly source: string; readonly target: string }) => Promise<void>,
  copies: readonly string[] = [name],
): Promise<void> {
  await exec(source.url(), `CREATE DATABASE "${name}" TEMPLATE template0`);
  try {
    await exec(source.url({ database: name }), sql);
    await use({ source: source.url({ database: name }), target: target.url() });
  } finally {
    await dropDatabase(source, name);
    for (const copy of copies) await dropDatabase(target, copy);
  }
}

/** Waits until the tool has no session on these servers. */
async function noSessionsLeft(...clusters: readonly Cluster[]): Promise<void> {
  const sessions =
    "SELECT FROM pg_stat_activity WHERE application_name = 'postgres-seren-replicator'";
  for (const cluster of clusters) {
    await waitUntil(
      "no session is left",
      async () => (await query(cluster.url(), sessions)).length === 0,
    );
  }
}

const shop = `
  CREATE ROLE shop_owner; CREATE ROLE "Shop Reader" LOGIN PASSWORD 'secret';
  CREATE SCHEMA "Sales" AUTHORIZATION shop_owner;
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE, mood mood);
  INSERT INTO customers (email, mood) SELECT 'c' || i || '@example.com', 'happy' FROM generate_series(1, 5000) i;
  CREATE TABLE "Sales"."Orders" (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers, at timestamptz,
    total numeric, twice numeric GENERATED ALWAYS AS (total * 2) STORED);
  INSERT INTO "Sales"."Orders" (customer, at, total)
    SELECT 1 + i % 5000, '2020-01-01'::timestamptz + i * interval '1 minute', i / 7.0 FROM generate_series(1, 20000) i;
  CREATE INDEX ON "Sales"."Orders" (at); CREATE INDEX ON "Sales"."Orders" (customer, total);
  ALTER TABLE "Sales"."Orders" OWNER TO shop_owner;
  GRANT SELECT ON customers TO "Shop Reader";
  CREATE VIEW spent AS SELECT customer, sum(total) FROM "Sales"."Orders" GROUP BY 1;
  CREATE MATERIALIZED VIEW top AS SELECT * FROM spent ORDER BY 2 DESC LIMIT 10;
  CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'trigger fired'; END $$;
  CREATE TRIGGER forbid BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION forbid();
  COMMENT ON TABLE customers IS 'who pays';
  SELECT lo_from_bytea(4711, '\\x00ff');`;

Deno.test("init copies a database with rows, indexes, keys, grants, large objects and sequences", async () => {
  await withSource("shop one", shop, async (urls) => {
    const { report, plan } = await runInit(urls.source, urls.target, { include: ["shop one"] });
    deepStrictEqual(await compareDatabases(urls.source, target.url({ database: "shop one" })), []);
    strictEqual(report.rows, 25_000);
    strictEqual(plan.databases[0]?.action, "create");
    await noSessionsLeft(source, target);
  });
  deepStrictEqual(await compareRoles(source.url(), target.url()), []);
  for (const cluster of [source, target]) {
    await exec(cluster.url(), `DROP ROLE shop_owner; DROP ROLE "Shop Reader"`);
  }
});

Deno.test("init copies a single database under another name, and into an existing empty one", async () => {
  await withSource("a", "CREATE TABLE t AS SELECT 1 AS i", async (urls) => {
    await exec(target.url(), "CREATE DATABASE neondb");
    const { plan } = await runInit(urls.source, target.url({ database: "neondb" }), {
      include: ["a"],
    });
    strictEqual(plan.databases[0]?.action, "fill-empty");
    deepStrictEqual(await query(target.url({ database: "neondb" }), "SELECT i FROM t"), [{ i: 1 }]);
  }, ["neondb"]);
});

Deno.test("init copies several databases in one run", async () => {
  await withSource("first", "CREATE TABLE t AS SELECT 1 AS i", async () => {
    await withSource("second", "CREATE TABLE u AS SELECT 2 AS i", async (urls) => {
      const { report } = await runInit(urls.source, urls.target, {
        include: ["first", "second"],
        map: { second: "zwei" },
      });
      deepStrictEqual(report.databases.map(({ target }) => target), ["first", "zwei"]);
      deepStrictEqual(await query(target.url({ database: "first" }), "SELECT i FROM t"), [{
        i: 1,
      }]);
      deepStrictEqual(await query(target.url({ database: "zwei" }), "SELECT i FROM u"), [{ i: 2 }]);
    }, ["zwei"]);
  });
});

Deno.test("a copy in parts, in text and in binary, equals an undivided one", async () => {
  const sql = `CREATE TABLE big (id int PRIMARY KEY, t text, b bytea, n numeric, at timestamptz);
    INSERT INTO big SELECT i, repeat(md5(i::text), i % 90), decode(md5(i::text), 'hex'), i / 3.0,
      'epoch'::timestamptz + i * interval '1 day' FROM generate_series(1, 30000) i;
    DELETE FROM big WHERE id % 7 = 0; UPDATE big SET t = NULL WHERE id % 11 = 0;`;
  await withSource("parts", sql, async (urls) => {
    for (const copyFormat of ["auto", "text"] as const) {
      const { report } = await runInit(urls.source, urls.target, {
        include: ["parts"],
        splitBytes: 512 * 1024,
        copyFormat,
        dropExisting: true,
      });
      strictEqual(report.databases[0]?.tables.length, 1);
      deepStrictEqual(await compareDatabases(urls.source, target.url({ database: "parts" })), []);
    }
  });
});

Deno.test("a database is dropped and recreated even if the target's URL names it", async () => {
  await withSource("again", "CREATE TABLE t (i int); INSERT INTO t VALUES (1)", async (urls) => {
    const copy = target.url({ database: "again" });
    await runInit(urls.source, urls.target, { include: ["again"] });
    await exec(copy, "INSERT INTO t VALUES (2)");
    await runInit(urls.source, copy, { include: ["again"], dropExisting: true });
    deepStrictEqual(await query(copy, "SELECT i FROM t"), [{ i: 1 }]);
  });
});

Deno.test("each table is analyzed once it is complete, and a failed ANALYZE does not stop the run", async () => {
  const sql = `CREATE TABLE plain (i int); CREATE TABLE keyed (i int PRIMARY KEY, j int);
    INSERT INTO plain SELECT generate_series(1, 500);
    INSERT INTO keyed SELECT i, i % 5 FROM generate_series(1, 500) i;
    CREATE TABLE pair AS SELECT i % 7 AS a, i % 7 AS b FROM generate_series(1, 500) i;
    CREATE STATISTICS pair_stats (dependencies) ON a, b FROM pair;
    CREATE TABLE whole (i int) PARTITION BY RANGE (i);
    CREATE TABLE half PARTITION OF whole FOR VALUES FROM (0) TO (1000);
    INSERT INTO whole SELECT generate_series(1, 500);
    CREATE MATERIALIZED VIEW seen AS SELECT * FROM plain;
    CREATE FUNCTION stubborn(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
      BEGIN IF current_query() LIKE 'ANALYZE %' THEN RAISE 'not now'; END IF; RETURN i; END $$;
    CREATE TABLE difficult AS SELECT i FROM generate_series(1, 500) i;
    CREATE INDEX ON difficult (stubborn(i));`;
  await withSource("stats", sql, async (urls) => {
    const { events, report } = await runInit(urls.source, urls.target, {
      include: ["stats"],
      // autovacuum may analyze the source, whose statistics would be restored
      statistics: "analyze",
    });
    const copy = target.url({ database: "stats" });
    const missing = `SELECT c.relname FROM pg_class AS c
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm')
         AND c.relname <> 'difficult' -- autovacuum may analyze it, whose query is another one
         AND NOT EXISTS (SELECT FROM pg_statistic AS s WHERE s.starelid = c.oid) ORDER BY 1`;
    deepStrictEqual(await query(copy, missing), []);
    deepStrictEqual(
      await query(copy, "SELECT count(*)::int AS n FROM pg_statistic_ext_data"),
      [{ n: 1 }],
    );
    const atTheEnd = events.findIndex((event) =>
      event.kind === "step-started" && event.step === "analyze"
    );
    const analyzed = (some: typeof events) =>
      some.flatMap((event) =>
        event.kind === "work-finished" && event.work === "analyze" ? [event.label] : []
      );
    const early = analyzed(events.slice(0, atTheEnd));
    strictEqual(early.length > 0, true);
    strictEqual(early.includes("whole"), true);
    // the rest: extended statistics and the materialized view
    deepStrictEqual(analyzed(events.slice(atTheEnd)).toSorted(), [
      "statistics of 2 small tables",
    ]);
    strictEqual(report.warnings.filter(({ object }) => object === "difficult").length, 1);
  });
});

for (const onto of [await sharedCluster(17), target]) {
  Deno.test(`partitions and their partitioned tables are each analyzed once, on ${onto.major}`, async () => {
    const sql = `CREATE TABLE year (i int, m int, PRIMARY KEY (i, m)) PARTITION BY RANGE (m);
      CREATE TABLE first PARTITION OF year FOR VALUES FROM (0) TO (6);
      CREATE TABLE rest PARTITION OF year FOR VALUES FROM (6) TO (12) PARTITION BY RANGE (m);
      CREATE TABLE second PARTITION OF rest FOR VALUES FROM (6) TO (12);
      INSERT INTO year SELECT i, i % 12 FROM generate_series(1, 20000) i;`;
    await withSource("year", sql, async (urls) => {
      try {
        await runInit(urls.source, onto.url(), { include: ["year"], statistics: "analyze" });
        const copy = onto.url({ database: "year" });
        const found = await query(
          copy,
          `SELECT c.relname, s.analyze_count::int AS count, (
                    SELECT bool_and(coalesce(k.n, 0) = 2) FROM (VALUES (relkind = 'p')) AS parent (inherits),
                           LATERAL (SELECT count(*) AS n FROM pg_statistic
                                     WHERE starelid = c.oid AND stainherit = parent.inherits) AS k) AS has
             FROM pg_class AS c JOIN pg_stat_all_tables AS s ON s.relid = c.oid
            WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1`,
        );
        // a partition that is itself partitioned is analyzed when everything is complete
        const again = onto.major < 18 ? 2 : 1;
        deepStrictEqual(found.map(({ relname, count, has }) => [relname, count, has]), [
          ["first", 1, true],
          ["rest", again, true],
          ["second", again, true],
          ["year", 1, true],
        ]);
      } finally {
        await dropDatabase(onto, "year");
      }
    });
  });
}

Deno.test("the plan lists parts and format, and why a table is not binary; impossible binary is refused, with all tables", async () => {
  const sql = `CREATE TABLE big AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 4000) i;
    CREATE TYPE tag AS ENUM ('a'); CREATE TABLE tagged (i int, tags tag[], r regclass);
    CREATE EXTENSION hstore; CREATE TABLE pairs (h hstore);
    CREATE TABLE fine AS SELECT i, ARRAY['y'] AS t FROM generate_series(1, 4000) i;
    ALTER TABLE big ALTER t SET STORAGE PLAIN; ANALYZE`;
  await withSource("formats", sql, async (urls) => {
    const options = { include: ["formats"], splitBytes: 1024 ** 2 };
    const { plan } = await runInit(urls.source, urls.target, options);
    deepStrictEqual(
      plan.databases[0]?.tables.map((
        { name, parts, format, whyText, freeze },
      ) => [name, parts, format, freeze, ...(whyText === undefined ? [] : [whyText])]).sort(),
      [
        ["big", 3, "binary", false],
        ["fine", 1, "binary", true],
        ["pairs", 1, "text", false, "column h public.hstore"],
        ["tagged", 1, "text", false, "columns tags public.tag[], r regclass"],
      ],
    );
    await exec(target.url(), "DROP DATABASE formats");
    await rejects(
      runInit(urls.source, urls.target, { ...options, copyFormat: "binary" }),
      (error: unknown) =>
        error instanceof ReplicatorError && error.exitCode === ExitCode.usage &&
        /pairs .*hstore/.test(error.message) && /tagged .*tags/.test(error.message) &&
        !/fine/.test(error.message),
    );
    deepStrictEqual(
      await query(target.url(), "SELECT FROM pg_database WHERE datname = 'formats'"),
      [],
    );
  });
});

Deno.test("the copy has the rows of the snapshot, whatever is written meanwhile", async () => {
  await withSource(
    "busy",
    "CREATE TABLE t (id serial PRIMARY KEY, v int); INSERT INTO t (v) SELECT i FROM generate_series(1, 20000) i",
    async (urls) => {
      let writing = true;
      const writer = (async () => {
        while (writing) {
          await exec(
            urls.source,
            "BEGIN; INSERT INTO t (v) SELECT i FROM generate_series(1, 50) i; UPDATE t SET v = v + 1 WHERE id % 97 = 0; DELETE FROM t WHERE id % 101 = 3; COMMIT",
          );
        }
      })();
      const facts =
        "SELECT count(*)::int AS n, sum(v)::text AS v, sum(hashtext(t::text))::text AS h FROM t";
      let seen: unknown;
      await runInit(urls.source, urls.target, {
        include: ["busy"],
        whileSnapshotHeld: async ({ snapshot }) => {
          seen = (await query(
            urls.source,
            `BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '${snapshot}'; ${facts}`,
          )).flat().filter((row) => row !== undefined).at(-1);
        },
      });
      writing = false;
      await writer;
      const [copied] = await query(target.url({ database: "busy" }), facts);
      deepStrictEqual(copied, seen);
    },
  );
});

Deno.test("rows without a parent are reported, and their foreign key stays NOT VALID", async () => {
  const sql = `CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p);
    ALTER TABLE c DISABLE TRIGGER ALL; INSERT INTO c VALUES (7); ALTER TABLE c ENABLE TRIGGER ALL`;
  await withSource("orphans", sql, async (urls) => {
    const { report } = await runInit(urls.source, urls.target, { include: ["orphans"] });
    ok(
      report.warnings.some(({ message, object }) =>
        /without a parent/.test(message) && /c_p_fkey/.test(object ?? "")
      ),
    );
    const [key] = await query(
      target.url({ database: "orphans" }),
      "SELECT convalidated FROM pg_constraint WHERE conname = 'c_p_fkey'",
    );
    strictEqual(key?.["convalidated"], false);
  });
});

Deno.test("a non-empty target is refused with its contents, and dropped only on request", async () => {
  await withSource("full", "CREATE TABLE t AS SELECT 1 AS i", async (urls) => {
    await exec(target.url(), `CREATE DATABASE "full"`);
    await exec(target.url({ database: "full" }), "CREATE TABLE precious AS SELECT 42 AS i");
    await rejects(
      runInit(urls.source, urls.target, { include: ["full"] }),
      (error) =>
        error instanceof ReplicatorError && error.exitCode === ExitCode.prerequisite &&
        error.details.some((detail) => /precious/.test(detail)),
    );
    deepStrictEqual(await query(target.url({ database: "full" }), "SELECT i FROM precious"), [{
      i: 42,
    }]);
    const { plan } = await runInit(urls.source, urls.target, {
      include: ["full"],
      dropExisting: true,
    });
    match(plan.databases[0]?.willBeLost ?? "", /precious/);
    deepStrictEqual(await query(target.url({ database: "full" }), "SELECT i FROM t"), [{ i: 1 }]);
  });
});

Deno.test("a run that is declined changes nothing", async () => {
  await withSource("declined", "CREATE TABLE t ()", async (urls) => {
    await rejects(
      runInit(urls.source, urls.target, {
        include: ["declined"],
        confirm: () => Promise.resolve(false),
      }),
      /declined/,
    );
    deepStrictEqual(
      await query(target.url(), "SELECT FROM pg_database WHERE datname = 'declined'"),
      [],
    );
  });
});

Deno.test("objects created between the plan and the snapshot are copied too", async () => {
  await withSource("late", "CREATE TABLE early AS SELECT 1 AS i", async (urls) => {
    await runInit(urls.source, urls.target, {
      include: ["late"],
      confirm: async () => {
        await exec(
          urls.source,
          "CREATE TABLE late AS SELECT 2 AS i; SELECT lo_from_bytea(4712, '\\x01')",
        );
        return true;
      },
    });
    deepStrictEqual(
      await compareDatabases(urls.source, target.url({ database: "late" })),
      [],
    );
  });
});

Deno.test("source and target that are the same database are refused, even with different users and addresses", async () => {
  await withSource(
    "same",
    "CREATE TABLE t AS SELECT 1 AS i; CREATE ROLE other SUPERUSER LOGIN",
    async (urls) => {
      const other = `postgresql://other@localhost:${source.port}/same`;
      const socket = `postgresql://postgres@/same?host=${
        encodeURIComponent(source.socketDir)
      }&port=${source.port}`;
      for (const url of [other, socket]) {
        for (const dropExisting of [true, false]) {
          await rejects(
            runInit(urls.source, url, { include: ["same"], dropExisting }),
            (error) => {
              ok(error instanceof ReplicatorError && error.exitCode === ExitCode.prerequisite);
              const text = [error.message, error.remedy, ...error.details].join("\n");
              strictEqual(text.match(/same server/g)?.length, 1); // reported once
              doesNotMatch(text, /--drop-existing|resnapshot/); // would destroy the source
              return true;
            },
          );
        }
      }
      deepStrictEqual(await query(urls.source, "SELECT i FROM t"), [{ i: 1 }]);
      await exec(source.url(), "DROP ROLE other");
    },
  );
});

const manyRows =
  `CREATE TABLE big AS SELECT i, repeat('x', 500) AS t FROM generate_series(1, 200000) i`;

Deno.test("the duration of a run excludes the time until its plan was confirmed", async () => {
  await withSource("patient", "CREATE TABLE t (i int)", async (urls) => {
    const waitMs = 1_000;
    let answeredMs = 0;
    const start = performance.now();
    const { report } = await runInit(urls.source, urls.target, {
      include: ["patient"],
      confirm: async () => {
        const askedMs = performance.now();
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        answeredMs = performance.now() - askedMs;
        return true;
      },
    });
    ok(report.ms <= performance.now() - start - answeredMs, String(report.ms));
  });
});

Deno.test("Ctrl-C during the copy ends it, leaves no session, and warns that the copy is incomplete", async () => {
  await withSource("interrupted", manyRows, async (urls) => {
    const abort = new AbortController();
    const warnings: string[] = [];
    let unfinished: InitReport | undefined;
    await rejects(
      runInit(urls.source, urls.target, {
        include: ["interrupted"],
        signal: abort.signal,
        onEvent: (event) => {
          if (event.kind === "table-progress") abort.abort(new InterruptedError());
          if (event.kind === "warning") warnings.push(event.message);
        },
        onUnfinished: (report) => {
          unfinished = report;
          return Promise.resolve();
        },
      }),
      InterruptedError,
    );
    deepStrictEqual(
      unfinished?.steps.filter(({ failed }) => failed)
        .map(({ step, interrupted }) => [step, interrupted]),
      [["data", true]],
    );
    ok(warnings.some((message) => /incomplete/.test(message)));
    await noSessionsLeft(source, target);
  });
});

Deno.test("a role that is not a superuser on the target can fill a database that it may create", async () => {
  await withSource(
    "modest",
    `CREATE ROLE app_owner; CREATE TABLE t AS SELECT 1 AS i; ALTER TABLE t OWNER TO app_owner;
    CREATE TABLE k (id int PRIMARY KEY); GRANT SELECT ON k TO app_owner`,
    async (urls) => {
      await exec(target.url(), "CREATE ROLE modest LOGIN CREATEDB CREATEROLE");
      try {
        const { report } = await runInit(urls.source, target.url({ user: "modest" }), {
          include: ["modest"],
        });
        strictEqual(report.rows, 1);
        const differences = await compareDatabases(urls.source, target.url({ database: "modest" }));
        // objects of the source's superuser belong to the connecting role here; nothing else
        // differs
        deepStrictEqual(
          differences.filter(({ property }) => property !== "owner" && property !== "privileges"),
          [],
        );
        const [owner] = await query(
          target.url({ database: "modest" }),
          "SELECT tableowner FROM pg_tables WHERE tablename = 't'",
        );
        strictEqual(owner?.["tableowner"], "app_owner");
      } finally {
        await dropDatabase(target, "modest");
        await exec(target.url(), "DROP ROLE IF EXISTS app_owner; DROP ROLE modest");
      }
    },
  );
  await exec(source.url(), "DROP ROLE app_owner");
});

Deno.test({
  name: "a full disk on the target ends the run, and the error names the table and the cause",
  ignore: !await canMakeSmallDisk(),
  fn: async () => {
    await using disk = await smallDisk("120m");
    await using small = await startTestCluster({
      major: 16,
      dataRoot: disk.path,
      settings: { max_wal_size: "32MB", min_wal_size: "32MB" },
    });
    await withSource("too big", manyRows, async (urls) => {
      await rejects(
        runInit(urls.source, small.url(), { include: ["too big"] }),
        (error) => error instanceof ReplicatorError && error.side === "target",
      );
      await noSessionsLeft(source);
    });
  },
});

Deno.test("a server killed during the copy ends the run, and no session is left on the other side", async () => {
  for (const victim of ["source", "target"] as const) {
    await using doomed = await startTestCluster({ major: 17 });
    await exec(victim === "source" ? doomed.url() : source.url(), "CREATE DATABASE doomed");
    const from = victim === "source"
      ? doomed.url({ database: "doomed" })
      : source.url({ database: "doomed" });
    const to = victim === "source" ? target.url() : doomed.url();
    try {
      await exec(from, manyRows);
      let killed: Promise<void> | undefined;
      await rejects(
        runInit(from, to, {
          include: ["doomed"],
          sessionRetryDelaysMs: [],
          databaseRetryDelaysMs: [], // the server is not restarted
          onEvent: (event) => {
            if (event.kind === "table-progress") killed ??= doomed.kill("SIGKILL");
          },
        }),
        (error) =>
          error instanceof ReplicatorError && error.side === victim &&
          error.exitCode ===
            (victim === "source" ? ExitCode.sourceUnreachable : ExitCode.targetUnreachable),
      );
      await killed;
      await noSessionsLeft(victim === "source" ? target : source);
    } finally {
      await dropDatabase(victim === "source" ? target : source, "doomed");
    }
  }
});
