/** Which code runs where, and what can delay the tool. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { readRuleFlags } from "../../lib/rules/internal.ts";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

/**
 * Returns and drops the superusers created by the case's functions, named after what called them.
 */
async function takenOverBy(server: Cluster): Promise<readonly string[]> {
  const rows = await query<{ name: string }>(
    server.url(),
    "SELECT rolname AS name FROM pg_roles WHERE rolname ~ '^pwned_' ORDER BY 1",
  );
  for (const { name } of rows) await exec(server.url(), `DROP ROLE ${name}`);
  return rows.map(({ name }) => name.replace("pwned_", ""));
}

/**
 * Only expressions that the target computes for each row may run; see docs/guides/security.md.
 */
const computedForRows = ["chk", "dom", "gen", "part"];

Deno.test("[esc] a superuser's copy runs nothing on the source, and on the target only what validate reported", async () => {
  const owner = { owner: "mallory", name: "esc" };
  await withCase("security/esc.sql", { source, target, ...owner }, async (it) => {
    const { checks } = await it.validate();
    const [check] = checks.filter(({ id }) => id === "user-code");
    strictEqual(check?.status, "warn");
    for (const name of computedForRows) match(check.finding, new RegExp(`m\\.${name}\\(`));
    match(check.finding, /of mallory .*a superuser: a role that can change them can take over/);
    deepStrictEqual(await takenOverBy(source), []);
    await it.init();
    deepStrictEqual(await takenOverBy(source), []);
    deepStrictEqual(await takenOverBy(target), computedForRows);
  });
});

Deno.test("[esc] with a non-superuser on the target, no privileges are gained", async () => {
  await exec(target.url(), "CREATE ROLE mover LOGIN CREATEDB CREATEROLE PASSWORD 'x'");
  const url = target.url({ user: "mover", password: "x" });
  await withCase(
    "security/esc.sql",
    { source, target, owner: "mallory", name: "esc" },
    async (it) => {
      const { checks } = await it.validate({ target: await endpointOf(url, "target") });
      strictEqual(checks.find(({ id }) => id === "user-code")?.status, "pass");
      await runInit(it.sourceUrl, url, { include: [it.name] });
      deepStrictEqual(await takenOverBy(source), []);
      deepStrictEqual(await takenOverBy(target), []);
      strictEqual((await it.ask("target", "SELECT FROM t_chk")).length, 100);
    },
  );
  await exec(target.url(), "DROP OWNED BY mover; DROP ROLE mover");
});

/**
 * Planning any query of the table evaluates the constant call in its index with the privileges of
 * the caller.
 */
const plannedTrap = `
  CREATE SCHEMA m;
  CREATE FUNCTION m.zero(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $b$
    BEGIN
      IF current_setting('is_superuser') = 'on'
          AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pwned_planner') THEN
        EXECUTE 'CREATE ROLE pwned_planner SUPERUSER';
      END IF;
      RETURN 0;
    END $b$;
  CREATE TABLE t (id integer PRIMARY KEY, v text);
  INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 60000) i;
  CREATE INDEX ON t (id) WHERE id > m.zero(0);
  CREATE TABLE nokey (id integer);
  INSERT INTO nokey SELECT generate_series(1, 10);
  CREATE INDEX ON nokey ((id + m.zero(1)));`;

Deno.test("a table whose planning runs a user-defined function is copied in one part without estimates, and the function never runs on the source", async () => {
  const made = { owner: "mallory", name: "planned", rewrite: () => plannedTrap };
  await withCase("50-plain-1520.sql", { source, target, ...made }, async (it) => {
    await it.init({ splitBytes: 1024 * 1024, jobs: 4 });
    deepStrictEqual(await takenOverBy(source), []);
    strictEqual((await it.ask("target", "SELECT FROM t")).length, 60000);
    await dropDatabase(target, it.name);
    // the table without a key is rejected
    await it.initWithSync({ identity: "full" }).catch(() => {});
    deepStrictEqual(await takenOverBy(source), []);
    await it.cleanup();
    deepStrictEqual(await takenOverBy(source), []);
  });
  await takenOverBy(target);
});

Deno.test("a filter on a table whose planning runs a user-defined function is rejected", async () => {
  const made = { owner: "mallory", name: "planned", rewrite: () => plannedTrap };
  await withCase("50-plain-1520.sql", { source, target, ...made }, async (it) => {
    const { rules } = readRuleFlags({
      includeTables: [],
      excludeTables: [],
      schemaOnlyTables: [],
      tableFilters: ["public.t:id < 100"],
      timeFilters: [],
    });
    const filtered = { ...rules, now: "2026-01-01T00:00:00.000Z" };
    const error = await it.init({ rules: filtered }).then(() => undefined, (reason) => reason);
    ok(error instanceof ReplicatorError, String(error));
    match(
      [error.message, ...error.details].join("\n"),
      /runs a function of another role .*m\.zero/,
    );
    deepStrictEqual(await takenOverBy(source), []);
  });
});

/**
 * Two sequences, of which the second is replaced by a view that runs the owner's code while the
 * tool waits for the first.
 */
const swapped = `
  CREATE FUNCTION boom() RETURNS bigint LANGUAGE plpgsql AS $b$
    BEGIN
      IF current_setting('is_superuser') = 'on' THEN EXECUTE 'CREATE ROLE pwned_view SUPERUSER'; END IF;
      RETURN 1;
    END $b$;
  CREATE SEQUENCE a1; CREATE SEQUENCE b2;`;

Deno.test("verify does not read a sequence that has been replaced by a view", async () => {
  const made = { owner: "mallory", name: "swapped", rewrite: () => swapped };
  await withCase("50-plain-1520.sql", { source, target, ...made }, async (it) => {
    await it.init();
    await withSession(it.source.url({ database: it.name, user: "mallory" }), async (owner) => {
      await owner.unsafe("BEGIN; ALTER SEQUENCE a1 RENAME TO a1x").simple();
      // rejected by the server or reported as a difference; only the executed code matters here
      const done = it.verify().catch(() => {});
      await until(
        it.sourceUrl,
        "SELECT count(*) > 0 AS ok FROM pg_stat_activity WHERE datname = 'swapped' AND wait_event_type = 'Lock'",
      );
      await exec(
        it.source.url({ database: it.name, user: "mallory" }),
        "DROP SEQUENCE b2; CREATE VIEW b2 AS SELECT boom() AS last_value, true AS is_called",
      );
      await owner.unsafe("ROLLBACK").simple();
      await done;
    });
    deepStrictEqual(await takenOverBy(source), []);
  });
});

Deno.test("[54] waiting for a locked table is reported, and the copy is complete", async () => {
  await withCase("54-locked-table.sql", { source, target }, async (it) => {
    const reported = Promise.withResolvers<string>();
    await withSession(it.sourceUrl, async (other) => {
      await other.unsafe("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").simple();
      const copied = it.init({
        onEvent: (event) => {
          if (event.kind === "info" && event.message.includes("waiting for")) {
            reported.resolve(event.message);
          }
        },
      });
      match(
        await reported.promise,
        /table public\.t, held by pid \d+ .*SELECT pg_catalog\.pg_terminate_backend/,
      );
      await other.unsafe("COMMIT").simple();
      await copied;
    });
    deepStrictEqual(await it.differences(), []);
  });
});
