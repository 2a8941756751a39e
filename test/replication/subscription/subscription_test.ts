import { deepStrictEqual, doesNotMatch, match, ok, rejects, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { giveToServer } from "../../../lib/cluster/data_dir.ts";
import type { PgMajor } from "../../../lib/cluster/mod.ts";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { endpointOf, runInit } from "../../support/init.ts";
import { compareRows, drain } from "../../support/replicated.ts";
import { exec, query } from "../../support/sql.ts";
import { syncSettings } from "../../support/sync.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const locked = await sharedCluster(16, { password: "p a'ss\\" });
const target = await sharedCluster(17);

const schema = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a');";

async function traces(url: string): Promise<unknown> {
  const [row] = await query(
    url,
    `SELECT (SELECT count(*)::int FROM pg_publication) AS publications,
            (SELECT count(*)::int FROM pg_replication_slots WHERE database = current_database()) AS slots,
            (SELECT count(*)::int FROM pg_class WHERE relreplident = 'f') AS identities`,
  );
  return row;
}

const nothing = { publications: 0, slots: 0, identities: 0 };

Deno.test("the source's password stays in a file of the target's server with --subscription-passfile", async () => {
  await withDatabase(locked, undefined, async ({ name, url }) => {
    await exec(url, schema);
    const passfile = join(target.dataDir, "source passfile");
    const password = "p a'ss\\".replaceAll("\\", "\\\\");
    await Deno.writeTextFile(passfile, `127.0.0.1:${locked.port}:*:postgres:${password}\n`, {
      mode: 0o600,
    });
    await giveToServer(passfile);
    try {
      await runInit(url, target.url(), { include: [name], sync: { ...syncSettings, passfile } });
      await exec(url, "INSERT INTO t VALUES (2, 'b')");
      await drain(url);
      strictEqual(await compareRows(url, target.url({ database: name })), 2);
      const [row] = await query<{ conninfo: string; required: boolean }>(
        target.url({ database: name }),
        "SELECT subconninfo AS conninfo, subpasswordrequired AS required FROM pg_subscription",
      );
      match(row!.conninfo, /passfile='[^']*source passfile'/);
      doesNotMatch(row!.conninfo, /password=/);
      strictEqual(row!.required, false);
    } finally {
      await dropDatabase(target, name);
      await Deno.remove(passfile);
    }
  });
});

Deno.test("without --subscription-passfile the password is in the catalog, quoted whatever its characters", async () => {
  await withDatabase(locked, undefined, async ({ name, url }) => {
    await exec(url, schema);
    try {
      await runInit(url, target.url(), { include: [name], sync: syncSettings });
      await exec(url, "DELETE FROM t");
      await drain(url);
      strictEqual(await compareRows(url, target.url({ database: name })), 0);
    } finally {
      await dropDatabase(target, name);
    }
  });
});

Deno.test("a target that cannot reach the source is reported before anything is created", async () => {
  await withDatabase(locked, undefined, async ({ name, url }) => {
    await exec(url, schema);
    const nowhere = await endpointOf(`postgresql://postgres:x@127.0.0.1:1/${name}`, "source");
    for (
      const [settings, said] of [
        [{ sourceFromTarget: nowhere }, /--source-from-target/],
        [{ passfile: "/nowhere/passfile" }, /\/nowhere\/passfile/],
      ] as const
    ) {
      await rejects(
        runInit(url, target.url(), { include: [name], sync: { ...syncSettings, ...settings } }),
        (error) => {
          ok(error instanceof ReplicatorError);
          match(error.message, /cannot reach the source/);
          match(error.remedy ?? "", said);
          strictEqual(error.exitCode, 3);
          return true;
        },
      );
    }
    deepStrictEqual(await traces(url), nothing);
    deepStrictEqual(
      await query(target.url(), "SELECT FROM pg_database WHERE datname = $1", [name]),
      [],
    );
  });
});

Deno.test("tables that cannot be published are listed, set to FULL, or skipped; identities are restored", async () => {
  await withDatabase(target, undefined, async ({ name, url }) => {
    await exec(
      url,
      `${schema} CREATE TABLE keyless (a int, b text); INSERT INTO keyless VALUES (1, 'x'), (1, 'x');
       CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
       CREATE UNLOGGED TABLE cache (id int PRIMARY KEY); INSERT INTO cache VALUES (1);
       CREATE TABLE documents (d json)`,
    );
    const copy = `${name}_copy`;
    const run = (identity: "fail" | "full" | "skip", exclude: string) =>
      runInit(url, target.url(), {
        include: [name],
        map: { [name]: copy },
        sync: { ...syncSettings, identity },
        rules: {
          include: [],
          rows: [],
          now: syncSettings.now,
          exclude: exclude === "" ? [] : [{
            pattern: { database: undefined, schema: ["public"], table: [exclude] },
            origin: { from: "flag", path: "--exclude-tables" },
          }],
        },
      });
    try {
      await rejects(run("fail", ""), /prerequisite/);
      await rejects(run("full", ""), (error) => {
        ok(error instanceof ReplicatorError);
        match(error.details.join("\n"), /documents: its rows cannot be distinguished.*json/);
        doesNotMatch(error.details.join("\n"), /keyless|nothing/);
        return true;
      });
      deepStrictEqual(await traces(url), nothing);
      const skipped = await run("skip", "");
      const warned = skipped.report.warnings.map(({ object }) => object).filter((object) =>
        object?.startsWith("table ")
      );
      deepStrictEqual(warned, ["table cache", "table documents", "table keyless", "table nothing"]);
      await removeStreams(url, target.url({ database: copy }));
      await dropDatabase(target, copy);

      await run("full", "documents");
      await exec(
        url,
        "UPDATE keyless SET b = 'y' WHERE ctid = '(0,1)'; DELETE FROM nothing; UPDATE t SET v = 'z'",
      );
      await drain(url);
      strictEqual(
        await compareRows(url, target.url({ database: copy }), { without: ["public.documents"] }),
        4,
      );
    } finally {
      await removeStreams(url, target.url({ database: copy })).catch(() => {});
      await dropDatabase(target, copy);
    }
  });
});

/** Reads identities with plain SQL. */
async function removeStreams(url: string, targetUrl: string): Promise<void> {
  for (
    const { name } of await query<{ name: string }>(
      url,
      "SELECT pubname AS name FROM pg_publication",
    )
  ) {
    for (const action of ["DISABLE", "SET (slot_name = NONE)"]) {
      await query(targetUrl, `ALTER SUBSCRIPTION ${name} ${action}`);
    }
    await query(targetUrl, `DROP SUBSCRIPTION ${name}`);
    await query(url, `DROP PUBLICATION ${name}`);
    for (;;) {
      const [slot] = await query<{ active: boolean }>(
        url,
        "SELECT active FROM pg_replication_slots WHERE slot_name = $1",
        [name],
      );
      if (!slot?.active) break;
    }
    await query(url, "SELECT pg_drop_replication_slot($1)", [name]);
  }
}

for (const major of [14, 16] satisfies PgMajor[]) {
  Deno.test(`a role that is not a superuser may subscribe since 16 (${major})`, async () => {
    await using own = await startTestCluster({ major });
    await withDatabase(locked, undefined, async ({ name, url }) => {
      await exec(url, schema);
      await exec(
        own.url(),
        `CREATE ROLE mover LOGIN CREATEDB CREATEROLE; ${
          major >= 16 ? "GRANT pg_create_subscription TO mover" : ""
        }`,
      );
      const run = runInit(url, own.url({ user: "mover" }), {
        include: [name],
        sync: { ...syncSettings, applyFrom: "target" },
      });
      if (major < 16) {
        await rejects(run, /prerequisite/);
        deepStrictEqual(await traces(url), nothing);
        return;
      }
      await run;
      await exec(url, "UPDATE t SET v = 'b'");
      await drain(url);
      strictEqual(await compareRows(url, own.url({ database: name })), 1);
    });
  });
}
