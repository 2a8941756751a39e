/**
 * What users may do to running replication, what `sync` reports about it, and names that need
 * quoting.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { executeStatus } from "../../../lib/commands/status/status.ts";
import type { SyncPlan } from "../../../lib/commands/shared/sync_report.ts";
import { parseLsn } from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase } from "../../support/databases.ts";
import { endpointOf, runInit } from "../../support/init.ts";
import { compareRows, drain } from "../../support/replicated.ts";
import { until } from "../../support/replication.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { runSync, syncSettings } from "../../support/sync.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const source14 = await sharedCluster(14, { settings: { wal_keep_size: "0" } });
const source16 = await sharedCluster(16);
const target13 = await sharedCluster(13);
const target17 = await sharedCluster(17);

interface Pair {
  readonly url: string;
  readonly targetUrl: string;
  /** The name of publication, slot and subscription. */
  readonly stream: string;
  readonly follow: (options?: Parameters<typeof runSync>[2]) => ReturnType<typeof runSync>;
}

let count = 0;
const nextName = () => `states ${++count}`;

/** A copied database with running replication. */
async function withStream(
  [source, target]: readonly [Cluster, Cluster],
  { sql, name = nextName() }: { readonly sql: string; readonly name?: string },
  use: (pair: Pair) => Promise<void>,
): Promise<void> {
  const quoted = `"${name.replaceAll('"', '""')}"`;
  await exec(source.url(), `CREATE DATABASE ${quoted} TEMPLATE template0`);
  const url = source.url({ database: name });
  const targetUrl = target.url({ database: name });
  try {
    await exec(url, sql);
    await runInit(source.url(), target.url(), { include: [quoted], sync: syncSettings });
    const [row] = await query<{ name: string }>(
      url,
      "SELECT pubname AS name FROM pg_publication",
    );
    await use({
      url,
      targetUrl,
      stream: row!.name,
      follow: (options = {}) =>
        runSync(source.url(), target.url(), { include: [quoted], ...options }),
    });
  } finally {
    await dropDatabase(target, name);
    await dropDatabase(source, name);
  }
}

const tables = `
  CREATE TABLE a (id int PRIMARY KEY, email text UNIQUE, v text);
  CREATE TABLE b (id int PRIMARY KEY, v text);
  INSERT INTO a SELECT n, 'e' || n, 'a' FROM generate_series(1, 50) AS n;
  INSERT INTO b SELECT n, 'b' FROM generate_series(1, 50) AS n;`;

/** The complete text of a refusal. */
async function refusal(refused: Promise<unknown>, exitCode = 3): Promise<string> {
  let text = "";
  await rejects(refused, (error) => {
    ok(error instanceof ReplicatorError, String(error));
    strictEqual(error.exitCode, exitCode);
    text = [error.message, ...error.details, error.remedy].join("\n");
    return true;
  });
  return text;
}

/** What `status` finds about the stream: `sync` prints the same remedy. */
async function findings({ url, targetUrl }: Pair, refused: string): Promise<readonly string[]> {
  const report = await executeStatus({
    source: await endpointOf(url, "source"),
    target: await endpointOf(targetUrl, "target"),
    databases: {
      include: [`"${decodeURIComponent(new URL(url).pathname.slice(1))}"`],
      exclude: [],
    },
    sampleMs: 10,
    now: () => new Date(),
  }, { events: () => {}, signal: new AbortController().signal });
  const found = report.findings.filter(({ stream, severity }) =>
    stream !== null && severity === "problem"
  );
  for (const { remedy } of found) ok(refused.includes(remedy), `${remedy}\n\n${refused}`);
  return found.map(({ id }) => id);
}

const everything = { action: { kind: "copy", tables: ["*"], areNew: false } } as const;

async function isEqual({ url, targetUrl }: Pair): Promise<void> {
  await drain(url);
  await compareRows(url, targetUrl);
}

Deno.test("sync reports a table removed from the publication, and copies it again without affecting the others", async () => {
  const sql = `${tables} CREATE TABLE keyless (v text)`;
  await withStream([source14, target17], { sql }, async (pair) => {
    const { url, targetUrl, stream, follow } = pair;
    await exec(url, `ALTER PUBLICATION ${stream} DROP TABLE b`);
    await exec(
      url,
      "INSERT INTO b VALUES (51, 'missed'); INSERT INTO a VALUES (51, 'e51', 'comes')",
    );
    const { report } = await follow();
    deepStrictEqual(report.databases[0]?.unfollowed, ["b"]);
    match(
      report.warnings.map(({ message }) => message).join(),
      /changes of 1 table are not replicated: b/,
    );
    deepStrictEqual(await query(targetUrl, "SELECT FROM b WHERE id = 51"), []);
    // a copy of `a` would change its file
    const [before] = await query(targetUrl, "SELECT pg_relation_filenode('a') AS file");
    const plans: SyncPlan[] = [];
    await follow({
      action: { kind: "copy", tables: ["b", "keyless"], areNew: false },
      confirm: (plan) => {
        plans.push(plan);
        return Promise.resolve(true);
      },
    });
    deepStrictEqual(plans[0]?.databases[0]?.byAllColumns, [{ schema: "public", name: "keyless" }]);
    deepStrictEqual(await query(targetUrl, "SELECT pg_relation_filenode('a') AS file"), [before]);
    await exec(url, "UPDATE b SET v = 'follows'; UPDATE a SET v = 'follows'");
    await isEqual(pair);
  });
});

Deno.test("sync() distinguishes a dropped publication from a subscription detached from its slot", async () => {
  await withStream([source14, target17], { sql: tables }, async (pair) => {
    const { url, targetUrl, stream, follow } = pair;
    await exec(targetUrl, `ALTER SUBSCRIPTION ${stream} DISABLE`);
    await exec(targetUrl, `ALTER SUBSCRIPTION ${stream} SET (slot_name = NONE)`);
    const detached = await refusal(follow());
    match(detached, /was detached from its slot[^]*SET \(slot_name = 'seren_/);
    deepStrictEqual(await findings(pair, detached), ["subscription-detached"]);
    await exec(targetUrl, `ALTER SUBSCRIPTION ${stream} SET (slot_name = 'other')`);
    const other = await refusal(follow());
    match(other, /reads the slot other, not seren_/);
    deepStrictEqual(await findings(pair, other), ["subscription-altered"]);
    await exec(targetUrl, `ALTER SUBSCRIPTION ${stream} SET (slot_name = '${stream}')`);
    await exec(url, `DROP PUBLICATION ${stream}`);
    await exec(url, "INSERT INTO a VALUES (51, 'e51', 'unpublished')");
    const unpublished = await refusal(follow());
    match(unpublished, /publication \S+ no longer exists on the source[^]*--resnapshot/);
    deepStrictEqual(await findings(pair, unpublished), ["publication-missing"]);
    await follow(everything);
    await exec(url, "UPDATE a SET v = 'follows'");
    await isEqual(pair);
  });
});

Deno.test("sync reports a slot that the source has invalidated, and copies its tables again", async () => {
  await withStream([source14, target17], { sql: tables }, async (pair) => {
    const { url, targetUrl, stream, follow } = pair;
    await exec(targetUrl, `ALTER SUBSCRIPTION ${stream} DISABLE`);
    await query(url, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    try {
      await query(url, "SELECT pg_reload_conf()");
      const status =
        `SELECT wal_status = 'lost' AS ok FROM pg_replication_slots WHERE slot_name = '${stream}'`;
      for (;;) {
        await exec(
          url,
          "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)",
        );
        await exec(url, "DROP TABLE filler");
        for (const statement of ["SELECT pg_switch_wal()", "CHECKPOINT"]) {
          await query(url, statement);
        }
        if ((await query<{ ok: boolean }>(url, status))[0]?.ok) break;
      }
    } finally {
      await query(url, "ALTER SYSTEM RESET max_slot_wal_keep_size");
      await query(url, "SELECT pg_reload_conf()");
    }
    match(await refusal(follow()), /slot \S+ is lost[^]*--resnapshot[^]*max_slot_wal_keep_size/);
    await follow(everything);
    await exec(url, "UPDATE a SET v = 'follows'");
    await isEqual(pair);
  });
});

/** 63 bytes, with everything that needs quoting. */
function longName(start: string): string {
  const name = `${start} "É" 'ü' \\ $1 %I.; -- 日本`;
  return name + "x".repeat(63 - new TextEncoder().encode(name).length);
}

const sql = (name: string) => `"${name.replaceAll('"', '""')}"`;

for (const pair of [[source14, target17], [source16, target13]] as const) {
  const versions = pair.map(({ major }) => major).join(" to ");
  Deno.test(`names of 63 bytes that need quoting are replicated, copied again, shown and skipped (${versions})`, async () => {
    const [schema, table, key, other] = ["Schema", "Table", "Key", "select"].map(longName);
    const name = `${sql(schema!)}.${sql(table!)}`;
    const setting = {
      name: longName("Data base"),
      sql: `CREATE SCHEMA ${sql(schema!)};
        CREATE TABLE ${name} (${sql(key!)} text PRIMARY KEY, ${sql(other!)} text);
        INSERT INTO ${name} SELECT n || '''"\\', 'x' FROM generate_series(1, 100) AS n;
        ${tables}`,
    };
    await withStream(pair, setting, async (stream) => {
      const { url, targetUrl, follow } = stream;
      await exec(url, `UPDATE ${name} SET ${sql(other!)} = 'changed'`);
      await isEqual(stream);
      await follow({
        action: { kind: "copy", tables: [`${sql(schema!)}.${sql(table!)}`], areNew: false },
      });
      await exec(url, `DELETE FROM ${name} WHERE ${sql(key!)} LIKE '1%'`);
      await isEqual(stream);
      const value = `it's "in" the \\ way`.replaceAll("'", "''");
      await exec(targetUrl, `INSERT INTO ${name} VALUES ('${value}', 'mine')`);
      await exec(url, `INSERT INTO ${name} VALUES ('${value}', 'theirs')`);
      const text = await refusal(follow(), 7);
      ok(
        text.includes(
          `cause: the target already has a row of ${sql(schema!)}.${sql(table!)} with `,
        ),
        text,
      );
      const lsn = /ends at ([0-9A-F]+\/[0-9A-F]+)/.exec(text)?.[1] ?? "";
      await follow({ action: { kind: "skip", lsn: parseLsn(lsn) } });
      deepStrictEqual(
        await query(
          targetUrl,
          `SELECT ${sql(other!)} AS v FROM ${name} WHERE ${sql(key!)} = '${value}'`,
        ),
        [{ v: "mine" }],
      );
      await exec(
        targetUrl,
        `UPDATE ${name} SET ${sql(other!)} = 'theirs' WHERE ${sql(key!)} = '${value}'`,
      );
      await isEqual(stream);
    });
  });
}

Deno.test("a conflicting unique value and a missing column are found before 15 as well", async () => {
  await withStream([source16, target13], { sql: tables }, async (pair) => {
    const { url, targetUrl, follow } = pair;
    await exec(targetUrl, "INSERT INTO a VALUES (1000, 'taken', 'mine')");
    await exec(url, "INSERT INTO a VALUES (51, 'taken', 'theirs')");
    match(
      await refusal(follow(), 7),
      /insert a \(id = 51\)[^]*the target already has a row of a with email = taken \(public\.a_email_key\)/,
    );
    await exec(targetUrl, "DELETE FROM a WHERE id = 1000");
    await follow();
    await exec(url, "ALTER TABLE b ADD COLUMN more int; INSERT INTO b VALUES (52, 'x', 1)");
    match(
      await refusal(follow(), 7),
      /insert b \(id = 52\)[^]*the target's b has no column "more"/,
    );
    await exec(targetUrl, "ALTER TABLE b ADD COLUMN more int");
    await until(targetUrl, "SELECT count(*) = 1 AS ok FROM b WHERE id = 52");
    await isEqual(pair);
  });
});

Deno.test("changes of a table that the subscription ignores cause no conflict", async () => {
  const sql = `${tables} CREATE TABLE c (id int PRIMARY KEY);`;
  await withStream([source16, target13], { sql }, async (pair) => {
    const { url, targetUrl, stream, follow } = pair;
    await exec(url, `ALTER PUBLICATION ${stream} DROP TABLE c`);
    await exec(
      targetUrl,
      `ALTER SUBSCRIPTION ${stream} REFRESH PUBLICATION WITH (copy_data = false)`,
    );
    await exec(targetUrl, `ALTER SUBSCRIPTION ${stream} DISABLE; INSERT INTO c VALUES (1)`);
    await exec(url, `ALTER PUBLICATION ${stream} ADD TABLE c; INSERT INTO c VALUES (1)`);
    await exec(url, "INSERT INTO a VALUES (51, 'e51', 'comes')");
    const { report } = await follow();
    deepStrictEqual(report.databases[0]?.done, [`${stream} enabled`]);
    await isEqual(pair);
  });
});

Deno.test("a subscription whose commit was not acknowledged is kept, and the next run starts it", async () => {
  await using target = await startTestCluster({ major: 17 });
  await withStream([source16, target], { sql: tables }, async (pair) => {
    const { url, targetUrl, stream, follow } = pair;
    await exec(url, `ALTER PUBLICATION ${stream} DROP TABLE b`);
    await follow();
    const waits = (relation: string, mode: string) =>
      `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = '${mode}'
                         AND relation = '${relation}'::regclass) AS ok`;
    let refused: Promise<string> | undefined;
    await withSession(targetUrl, async (catalog) => {
      await withSession(targetUrl, async (table) => {
        await table.unsafe("BEGIN; LOCK TABLE b IN ROW EXCLUSIVE MODE").simple();
        refused = refusal(follow({ action: { kind: "copy", tables: ["b"], areNew: false } }), 5);
        refused.catch(() => {});
        await until(targetUrl, waits("b", "AccessExclusiveLock"));
        await catalog.unsafe("BEGIN; LOCK TABLE pg_subscription IN SHARE MODE").simple();
        await table.unsafe("COMMIT").simple();
      });
      await until(targetUrl, waits("pg_subscription", "RowExclusiveLock"));
      // from here on, commits wait for a standby that does not exist
      await exec(targetUrl, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
      await exec(targetUrl, "SELECT pg_reload_conf()");
      await until(
        targetUrl,
        "SELECT current_setting('synchronous_standby_names') = 'nobody' AS ok",
      );
      await exec(targetUrl, "CHECKPOINT");
      await catalog.unsafe("ROLLBACK").simple();
    });
    const committing = `FROM pg_stat_activity WHERE wait_event = 'SyncRep'
                          AND application_name = 'postgres-seren-replicator'`;
    await until(targetUrl, `SELECT EXISTS (SELECT ${committing}) AS ok`);
    await query(targetUrl, `SELECT pg_terminate_backend(pid) ${committing}`);
    const text = await refused!;
    match(text, /all rows are copied, and the subscription \S+ exists, for 1 table: b/);
    match(text, /run sync again to start it/);
    await exec(targetUrl, "ALTER SYSTEM RESET synchronous_standby_names");
    await exec(targetUrl, "SELECT pg_reload_conf()");
    const { report } = await follow();
    deepStrictEqual(report.databases[0]?.unfollowed, []);
    await exec(url, "UPDATE b SET v = 'follows'; UPDATE a SET v = 'follows'");
    await isEqual(pair);
  });
});
