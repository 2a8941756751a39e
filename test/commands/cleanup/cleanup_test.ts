/** `cleanup` on real servers removes everything that the tool created, and nothing else. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import {
  cleanupExitCode,
  type CleanupReport,
  executeCleanup,
} from "../../../lib/commands/cleanup/cleanup.ts";
import { resolveEndpoint } from "../../../lib/postgres/internal.ts";
import { runCli } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { endReplication, replicate, type Replication, until } from "../../support/replication.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const c12 = await sharedCluster(12);
const c15 = await sharedCluster(15);
const c18 = await sharedCluster(18);

const context = { events: () => {}, signal: new AbortController().signal };

async function run(
  { sourceUrl, targetUrl }: Pick<Replication, "sourceUrl" | "targetUrl">,
  { databases = {}, yes = true }: {
    readonly databases?: { readonly include?: string[]; readonly exclude?: string[] };
    readonly yes?: boolean;
  } = {},
): Promise<CleanupReport> {
  const result = await executeCleanup({
    source: await resolveEndpoint(sourceUrl, { side: "source" }),
    target: await resolveEndpoint(targetUrl, { side: "target" }),
    databases: { include: [], exclude: [], ...databases },
    checkpoints: undefined,
    confirm: () => Promise.resolve(yes),
  }, context);
  ok(result.kind === "removed");
  return result.report;
}

/** Everything that replication leaves in a server's catalogs, in all databases. */
async function traces(...clusters: readonly Cluster[]): Promise<unknown> {
  const all = [];
  for (const cluster of clusters) {
    all.push(
      await query(
        cluster.url(),
        `SELECT 'slot' AS kind, slot_name::text AS name FROM pg_replication_slots
       UNION ALL SELECT 'subscription', subname FROM pg_subscription
       UNION ALL SELECT 'origin', roname FROM pg_replication_origin ORDER BY 1, 2`,
      ),
    );
    const databases = await query<{ datname: string }>(
      cluster.url(),
      "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1",
    );
    for (const { datname } of databases) {
      all.push([
        datname,
        await query(
          cluster.url({ database: datname }),
          `SELECT 'publication' AS kind, p.pubname::text AS name, (SELECT string_agg(t.tablename, ',' ORDER BY 1)
                  FROM pg_publication_tables AS t WHERE t.pubname = p.pubname) AS what FROM pg_publication AS p
         UNION ALL SELECT 'schema', nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname !~ '^pg_t'
         UNION ALL SELECT 'identity', relname, relreplident::text FROM pg_class WHERE relkind = 'r' AND relnamespace > 16383 OR relnamespace = 'public'::regnamespace
         UNION ALL SELECT 'comment', classoid::regclass::text, description FROM pg_description
                    WHERE classoid IN ('pg_publication'::regclass, 'pg_subscription'::regclass)
         ORDER BY 1, 2, 3`,
        ),
      ]);
    }
  }
  return all;
}

async function systemOf(cluster: Cluster): Promise<string> {
  const [row] = await query(
    cluster.url(),
    "SELECT system_identifier::text AS id FROM pg_control_system()",
  );
  return String(row?.["id"]);
}

interface Describing {
  readonly source?: string;
  readonly target?: string;
  readonly changedIdentities?: readonly unknown[];
}

/** Comments on both sides, as the tool writes them. */
async function describe(
  [from, to]: readonly [Cluster, Cluster],
  { name, sourceUrl, targetUrl }: Replication,
  { source, target, changedIdentities = [] }: Describing = {},
): Promise<void> {
  const [, hash = "", epoch = "1"] = /^seren_([0-9a-f]+)(?:_e(\d+))?$/.exec(name) ?? [];
  const text = JSON.stringify({
    version: 1,
    tool: "postgres-seren-replicator",
    hash,
    epoch: Number(epoch),
    source: {
      system: source ?? await systemOf(from),
      database: new URL(sourceUrl).pathname.slice(1),
    },
    target: {
      system: target ?? await systemOf(to),
      database: new URL(targetUrl).pathname.slice(1),
    },
    rules: "x",
    words: [],
    rulesNow: "2026-01-01T00:00:00.000Z",
    createdAt: "2026-01-01T00:00:00.000Z",
    changedIdentities,
  });
  await exec(sourceUrl, `COMMENT ON PUBLICATION "${name}" IS '${text}'`);
  await exec(targetUrl, `COMMENT ON SUBSCRIPTION "${name}" IS '${text}'`);
}

const tables = `
  CREATE TABLE t (id int PRIMARY KEY, v text);
  CREATE TABLE n (v text);
  CREATE TABLE i (id int NOT NULL UNIQUE, v text);
  ALTER TABLE i REPLICA IDENTITY USING INDEX i_id_key;`;

async function withPair(
  [from, to]: readonly [Cluster, Cluster],
  use: (urls: { readonly sourceUrl: string; readonly targetUrl: string }) => Promise<void>,
): Promise<void> {
  await withDatabase(from, undefined, async (a) => {
    await withDatabase(to, undefined, async (b) => {
      await exec(a.url, tables);
      await exec(b.url, tables);
      await use({ sourceUrl: a.url, targetUrl: b.url });
    });
  });
}

const ledger = `
  CREATE SCHEMA seren_ledger;
  COMMENT ON SCHEMA seren_ledger IS 'postgres-seren-replicator: what an unfinished copy has done';
  CREATE TABLE seren_ledger.run (document text);
  CREATE TABLE seren_ledger.epoch (epoch int);`;

for (const pair of [[c12, c18], [c18, c18]] as const) {
  const name = pair.map(({ major }) => major).join(" to ");

  Deno.test(`cleanup() removes the tool's objects and none of the user's, and finds nothing afterwards (${name})`, async () => {
    await withPair(pair, async (urls) => {
      const { sourceUrl, targetUrl } = urls;
      const [other] = await query(targetUrl, "SELECT current_database() AS name");
      // the user's objects, some with names like the tool's
      await exec(
        sourceUrl,
        "CREATE PUBLICATION mine FOR TABLE t; CREATE PUBLICATION seren_mine FOR TABLE t",
      );
      for (const slot of ["mine", `seren_${"0".repeat(15)}`, "pg_1_sync_2_3"]) {
        await query(
          sourceUrl,
          `SELECT pg_create_logical_replication_slot('${slot}_${other?.["name"]}', 'pgoutput')`,
        );
      }
      const users = await replicate(sourceUrl, targetUrl, {
        name: `user_${other?.["name"]}`,
        tables: ["t"],
      });
      await exec(sourceUrl, "ALTER TABLE t REPLICA IDENTITY FULL");
      const before = await traces(...new Set(pair));

      const ours = await replicate(sourceUrl, targetUrl);
      await describe(pair, ours, {
        changedIdentities: [
          { schema: "public", name: "n", before: "d" },
          { schema: "public", name: "i", before: "i", index: "i_id_key" },
          { schema: "public", name: "gone", before: "n" },
        ],
      });
      await exec(
        sourceUrl,
        "ALTER TABLE n REPLICA IDENTITY FULL; ALTER TABLE i REPLICA IDENTITY FULL",
      );
      const second = await replicate(sourceUrl, targetUrl, {
        name: `${ours.name}_e2`,
        tables: ["n"],
      });
      await exec(targetUrl, ledger);
      // a table synchronization slot left by its subscription
      const [subscription] = await query(
        targetUrl,
        `SELECT oid FROM pg_subscription WHERE subname = '${ours.name}'`,
      );
      const leftover = `pg_${subscription?.["oid"]}_sync_99_${await systemOf(pair[1])}`;
      await query(
        sourceUrl,
        `SELECT pg_create_logical_replication_slot('${leftover}', 'pgoutput')`,
      );

      const untouched = await executeCleanup({
        source: await resolveEndpoint(sourceUrl, { side: "source" }),
        target: await resolveEndpoint(targetUrl, { side: "target" }),
        databases: { include: [], exclude: [] },
        checkpoints: undefined,
        confirm: () => Promise.resolve(false),
      }, context);
      strictEqual(untouched.kind, "declined");
      ok(JSON.stringify(await traces(pair[0])).includes(leftover));

      const report = await run(urls);
      deepStrictEqual(report.failed, []);
      deepStrictEqual(
        report.removed.map(({ kind, name }) => [kind, name]),
        [
          ["subscription", ours.name],
          ["subscription", second.name],
          ["slot", ours.name],
          ["slot", second.name],
          ["slot", leftover],
          ["publication", second.name],
          ["publication", ours.name],
          ["replica-identity", "n"],
          ["replica-identity", "i"],
          ["replica-identity", "gone"],
          ["ledger", "seren_ledger"],
        ],
      );
      deepStrictEqual(await traces(...new Set(pair)), before);
      const again = await run(urls);
      deepStrictEqual([again.items, again.removed, again.failed], [[], [], []]);
      strictEqual(cleanupExitCode(again), 0);

      await exec(sourceUrl, "DROP PUBLICATION seren_mine");
      await endReplication(users);
    });
  });
}

Deno.test("cleanup() removes incomplete streams", async () => {
  await withPair([c15, c18], async (urls) => {
    const { sourceUrl, targetUrl } = urls;
    const before = await traces(c15, c18);
    const slotOnly = "seren_00000000000000a1";
    await query(sourceUrl, `SELECT pg_create_logical_replication_slot('${slotOnly}', 'pgoutput')`);
    await exec(sourceUrl, 'CREATE PUBLICATION "seren_00000000000000a2" FOR TABLE t');
    const noSlot = await replicate(sourceUrl, targetUrl, { options: "enabled = false" });
    await exec(sourceUrl, `SELECT pg_catalog.pg_drop_replication_slot('${noSlot.name}')`);
    const detached = await replicate(sourceUrl, targetUrl, { options: "enabled = false" });
    await exec(targetUrl, `ALTER SUBSCRIPTION "${detached.name}" SET (slot_name = NONE)`);
    const noPublication = await replicate(sourceUrl, targetUrl);
    await exec(sourceUrl, `DROP PUBLICATION "${noPublication.name}"`);
    const report = await run(urls);
    deepStrictEqual(report.failed, []);
    strictEqual(report.removed.length, 9);
    const small = report.removed.find(({ name }) => name === "seren_00000000000000a2");
    strictEqual(small?.detail, "of 1 table");
    strictEqual(small?.state, undefined);
    const states = (name: string) =>
      report.removed.filter((item) => item.name === name)
        .flatMap(({ state }) => state ?? []);
    deepStrictEqual(states(slotOnly), ["no-subscription"]);
    deepStrictEqual(states(noSlot.name), ["no-slot"]);
    deepStrictEqual(states(detached.name), ["detached", "detached"]);
    deepStrictEqual(await traces(c15, c18), before);
  });
});

Deno.test("cleanup() cleans one side if the other is unreachable", async () => {
  const source = await startTestCluster({ major: 15 });
  try {
    await withDatabase(c18, undefined, async (b) => {
      const sourceUrl = source.url();
      await exec(sourceUrl, tables);
      await exec(b.url, tables);
      const before = await traces(c18);
      const urls = { sourceUrl, targetUrl: b.url };
      const ours = await replicate(sourceUrl, b.url);
      await describe([source, c18], ours, {
        changedIdentities: [{ schema: "public", name: "n", before: "d" }],
      });
      await until(
        sourceUrl,
        `SELECT active AS ok FROM pg_replication_slots WHERE slot_name = '${ours.name}'`,
      );
      await query(sourceUrl, "CHECKPOINT"); // asynchronous commits would be lost
      await source.stop("immediate");
      const report = await run(urls);
      deepStrictEqual(report.removed.map(({ kind }) => kind), ["subscription"]);
      strictEqual(cleanupExitCode(report), 4);
      deepStrictEqual(report.unreachable.map(({ side, byHand }) => [side, byHand]), [["source", [
        `-- in database ${new URL(sourceUrl).pathname.slice(1)}`,
        `SELECT pg_catalog.pg_drop_replication_slot('${ours.name}');`,
        `DROP PUBLICATION "${ours.name}";`,
        'ALTER TABLE "public"."n" REPLICA IDENTITY DEFAULT;',
      ]]]);
      deepStrictEqual(await traces(c18), before);
      await source.start();
      const gone = "postgresql://nobody@127.0.0.1:1/x";
      const rest = await run({ ...urls, targetUrl: gone });
      deepStrictEqual(
        rest.removed.map(({ kind }) => kind),
        ["slot", "publication", "replica-identity"],
      );
      strictEqual(rest.removed[0]?.state, "unknown");
      strictEqual(cleanupExitCode(rest), 5);
      const [left] = await query(sourceUrl, "SELECT count(*)::int AS n FROM pg_replication_slots");
      strictEqual(left?.["n"], 0);
    });
  } finally {
    await source[Symbol.asyncDispose]();
  }
});

Deno.test("cleanup() keeps streams of other servers, and does not guess which of two unreachable ones was meant", async () => {
  await withPair([c15, c18], async (urls) => {
    const ours = await replicate(urls.sourceUrl, urls.targetUrl);
    const theirs = await replicate(urls.sourceUrl, urls.targetUrl);
    await describe([c15, c18], ours);
    await describe([c15, c18], theirs, { source: "1234567890" });
    try {
      const gone = { ...urls, sourceUrl: "postgresql://nobody@127.0.0.1:1/x" };
      await run(gone).then(
        () => ok(false, "the server was guessed"),
        (error) => {
          match(error.message, /2 servers exist: cannot determine/);
          strictEqual(error.exitCode, 3);
        },
      );
      const report = await run(urls);
      deepStrictEqual(
        [...new Set(report.removed.map(({ name }) => name))],
        [ours.name],
      );
      deepStrictEqual(
        report.kept.map(({ kind, name, reason }) => [kind, name, reason]),
        ["subscription", "slot", "publication"].map((
          kind,
        ) => [kind, theirs.name, "belongs to another source"]),
      );
    } finally {
      await endReplication(theirs);
    }
  });
});

for (const to of [c12, c18]) {
  Deno.test(`cleanup() does not wait for a lock that blocks the worker (${to.major})`, async () => {
    await withPair([c15, to], async ({ sourceUrl, targetUrl }) => {
      const replication = await replicate(sourceUrl, targetUrl);
      await describe([c15, to], replication);
      await withSession(targetUrl, async (holder) => {
        await holder.unsafe("BEGIN; LOCK TABLE t").simple();
        await exec(sourceUrl, "INSERT INTO t VALUES (1, 'waits')");
        await until(
          targetUrl,
          "SELECT count(*) > 0 AS ok FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type ~ 'logical replication'",
        );
        deepStrictEqual((await run(replication)).failed, []);
        await holder.unsafe("COMMIT").simple();
      });
      deepStrictEqual(await query(targetUrl, "SELECT FROM t"), []);
    });
  });
}

Deno.test("cleanup() is limited to the selected databases, and continues after a failed removal", async () => {
  await withPair([c15, c18], async (one) => {
    await withPair([c15, c18], async (two) => {
      const first = await replicate(one.sourceUrl, one.targetUrl);
      const second = await replicate(two.sourceUrl, two.targetUrl);
      const database = new URL(one.sourceUrl).pathname.slice(1);
      for (const each of [first, second]) await describe([c15, c18], each);
      const only = await run(one, { databases: { include: [database] } });
      deepStrictEqual([...new Set(only.removed.map(({ name }) => name))], [first.name]);
      await exec(one.sourceUrl, "CREATE ROLE limited LOGIN REPLICATION");
      try {
        const source = new URL(two.sourceUrl);
        source.username = "limited";
        const half = await run({ ...two, sourceUrl: source.href });
        deepStrictEqual(half.failed.map(({ item }) => item.kind), ["publication"]);
        match(half.failed[0]!.problem, /must be owner/);
        strictEqual(cleanupExitCode(half), 8);
        deepStrictEqual((await run(two)).removed.map(({ kind }) => kind), ["publication"]);
      } finally {
        await exec(one.sourceUrl, "DROP ROLE limited");
      }
    });
  });
});

Deno.test("cleanup after init --enable-sync restores both catalogs and removes the state file", async () => {
  await withDatabase(c15, undefined, async (a) => {
    await exec(
      a.url,
      `${tables} INSERT INTO t SELECT i, 'x' FROM generate_series(1, 100) AS i; INSERT INTO n VALUES ('x');`,
    );
    const name = `copy_${a.name}`;
    const env = { SOURCE_URL: a.url, TARGET_URL: c18.url() };
    const databases = ["--include-databases", a.name];
    const before = await traces(c15);
    const bareTarget = await traces(c18);
    const made = await runCli([
      "init",
      "--enable-sync",
      "--yes",
      "--replica-identity",
      "full",
      "--map",
      `${a.name}=${name}`,
      ...databases,
    ], { env });
    strictEqual(made.code, 0, made.stderr);
    try {
      const shown = await runCli(["cleanup", "--dry-run", ...databases], { env });
      strictEqual(shown.code, 0, shown.stderr);
      match(shown.stdout, /target +copy_test\S* +subscription +seren_/);
      match(shown.stdout, /source +test\S* +replica identity +n +FULL for seren_/);
      const asking = await runCli(["cleanup", ...databases], { env });
      strictEqual(asking.code, 2);
      match(asking.stderr, /--yes: is required/);
      const done = await runCli(["cleanup", "--yes", "--json", ...databases], { env });
      strictEqual(done.code, 0, done.stderr);
      match(done.stderr, /removed subscription seren_\w+ of database copy_test/);
      const report = JSON.parse(done.stdout);
      deepStrictEqual(report.failed, []);
      ok(report.removed.length >= 4, done.stdout);
      deepStrictEqual(await traces(c15), before);
      const [rows] = await query(c18.url({ database: name }), "SELECT count(*)::int AS n FROM t");
      strictEqual(rows?.["n"], 100);
      const again = await runCli(["cleanup", "--yes", ...databases], { env });
      strictEqual(again.code, 0);
      match(again.stdout, /Nothing of this tool exists/);
    } finally {
      await exec(c18.url(), `DROP DATABASE "${name}" WITH (FORCE)`);
    }
    deepStrictEqual(await traces(c18), bareTarget);
  });
});
