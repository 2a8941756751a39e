import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { parseLsn, ReplicatorError } from "../../../lib/core/internal.ts";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import { readRuleFlags } from "../../../lib/rules/internal.ts";
import { cliCommand, denoEnvironment } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { until } from "../../support/replication.ts";
import { compareRows, drain } from "../../support/replicated.ts";
import { loadSchema, startReplicationLoad } from "../../support/replication_load.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { runSync, syncSettings } from "../../support/sync.ts";

const source12 = await sharedCluster(12);
const target18 = await sharedCluster(18);
const both15 = await sharedCluster(15);

interface Pair {
  readonly name: string;
  readonly url: string;
  readonly targetUrl: string;
}

/** A database on the source, dropped on both sides at the end. */
async function withPair(
  [source, target]: readonly [Cluster, Cluster],
  schema: string,
  use: (pair: Pair) => Promise<void>,
): Promise<void> {
  await withDatabase(source, undefined, async ({ name, url }) => {
    const map = source === target ? `${name}_copy` : name;
    await exec(url, schema);
    try {
      await use({ name, url, targetUrl: target.url({ database: map }) });
    } finally {
      await dropDatabase(target, map);
    }
  });
}

const small = `
  CREATE TABLE a (id int PRIMARY KEY, v text);
  CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
  INSERT INTO a SELECT n, 'a' FROM generate_series(1, 100) AS n;
  INSERT INTO b SELECT n, n FROM generate_series(1, 100) AS n;`;

function rulesOf(flags: Partial<Parameters<typeof readRuleFlags>[0]>) {
  const none = { includeTables: [], excludeTables: [], schemaOnlyTables: [] };
  const { rules } = readRuleFlags({ ...none, tableFilters: [], timeFilters: [], ...flags });
  return { ...rules, now: "2026-01-01T00:00:00Z" };
}

async function copy({ name, url, targetUrl }: Pair, options: Parameters<typeof runInit>[2] = {}) {
  const map = { [name]: new URL(targetUrl).pathname.slice(1) };
  await runInit(url, targetUrl, { include: [name], map, sync: syncSettings, ...options });
}

const follow = ({ name, url, targetUrl }: Pair, options: Parameters<typeof runSync>[2] = {}) =>
  runSync(url, targetUrl, {
    include: [name],
    databases: {
      include: [name],
      exclude: [],
      map: { [name]: new URL(targetUrl).pathname.slice(1) },
    },
    ...options,
  });

/** The complete text of a refusal. */
function refusal(error: unknown, exitCode = 3): string {
  ok(error instanceof ReplicatorError, String(error));
  strictEqual(error.exitCode, exitCode);
  return [error.message, ...error.details, error.remedy].join("\n");
}

const streamName = async (url: string) =>
  (await query<{ name: string }>(url, "SELECT pubname AS name FROM pg_publication"))
    .map(({ name }) => name);

Deno.test("init --enable-sync loses and repeats nothing under a mixed load: 12 to 18", async () => {
  await withPair([source12, target18], loadSchema(), async (pair) => {
    const load = startReplicationLoad(pair.url);
    try {
      await load.more(50);
      await copy(pair);
      await load.more(200);
      deepStrictEqual((await load.stop()).surprises, []);
      await drain(pair.url);
      ok(await compareRows(pair.url, pair.targetUrl) > 10_000);
    } finally {
      await load.stop();
    }
  });
});

Deno.test("the plan of init --enable-sync lists what it changes on the source, and nothing else is changed", async () => {
  const schema = `${small} CREATE TABLE log (line text); CREATE TABLE keyed (id int PRIMARY KEY)`;
  await withPair([source12, target18], schema, async ({ name, url, targetUrl }) => {
    const { plan } = await runInit(url, targetUrl, { include: [name], sync: syncSettings });
    const changes = plan.databases[0]?.sourceChanges;
    deepStrictEqual(
      changes && { ...changes, name: "" },
      {
        name: "",
        published: 4,
        identities: [{ schema: "public", name: "log" }],
        notReplicated: [],
      },
    );
    deepStrictEqual(
      await query(
        url,
        `SELECT (SELECT string_agg(slot_name, ',') FROM pg_replication_slots WHERE database = '${name}') AS slots,
                (SELECT string_agg(pubname, ',') FROM pg_publication) AS publications,
                (SELECT count(*)::int FROM pg_publication_tables) AS published,
                (SELECT string_agg(relname, ',') FROM pg_class WHERE relreplident = 'f') AS full`,
      ),
      [{ slots: changes?.name, publications: changes?.name, published: 4, full: "log" }],
    );
    await exec(targetUrl, `DROP SUBSCRIPTION ${changes?.name}`);
  });
});

Deno.test("init --enable-sync works within one server", async () => {
  await withPair([both15, both15], small, async (pair) => {
    await copy(pair);
    await exec(pair.url, "UPDATE a SET v = 'b'; DELETE FROM b WHERE id < 10");
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 191);
  });
});

Deno.test("init --drop-existing reports what prevents dropping a database before it changes anything", async () => {
  await withPair([both15, target18], small, async (pair) => {
    await copy(pair);
    const [name = ""] = await streamName(pair.url);
    await exec(
      pair.targetUrl,
      `CREATE SUBSCRIPTION theirs_${pair.name} CONNECTION 'dbname=x' PUBLICATION p
      WITH (connect = false, slot_name = NONE, enabled = false)`,
    );
    const again = { dropExisting: true, sync: undefined };
    try {
      await rejects(copy(pair, again), (error) => {
        match(refusal(error), new RegExp(`the tool's subscription ${name}[^]*cleanup`));
        match(refusal(error), /subscription theirs_\S+, which the tool did not create/);
        return true;
      });
    } finally {
      await exec(pair.targetUrl, `DROP SUBSCRIPTION theirs_${pair.name}`);
    }
    await withSession(pair.targetUrl, async (session) => {
      const [row] = await session.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
      await rejects(copy(pair, { dropExisting: true }), (error) => {
        match(refusal(error), new RegExp(`is in use: session pid ${row?.pid} \\(`));
        ok(!refusal(error).includes(name));
        return true;
      });
    });
    await exec(pair.url, "DELETE FROM b");
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 100);
    await copy(pair, { dropExisting: true });
    await exec(pair.url, "INSERT INTO a VALUES (-1, 'x')");
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 101);
  });
});

Deno.test("a run killed during the creation of its slot does not block the next one", async () => {
  await withPair([both15, target18], small, async (pair) => {
    const creating = `SELECT count(*) > 0 AS ok FROM pg_stat_activity
      WHERE backend_type = 'walsender' AND wait_event = 'transactionid' AND datname = '${pair.name}'`;
    await withSession(pair.url, async (writer) => {
      await writer.unsafe("BEGIN; INSERT INTO a VALUES (-1, 'long')").simple();
      const folder = await Deno.makeTempDir({ prefix: "psr-slot-" });
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          ...cliCommand,
          "init",
          "--enable-sync",
          "--yes",
          "--dump-tool=embedded",
          `--include-databases=${pair.name}`,
        ],
        clearEnv: true,
        env: { ...denoEnvironment(), SOURCE_URL: pair.url, TARGET_URL: target18.url() },
        cwd: folder,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      try {
        await until(pair.url, creating);
        await rejects(copy(pair), (error) => {
          match(
            refusal(error),
            /^another run is copying into this database: session \d+ of role postgres from /,
          );
          return true;
        });
        // a run that connects to another database of the target does not see that, but finds the
        // slot
        const elsewhere = target18.url({ database: "template1" });
        const map = { [pair.name]: pair.name };
        const over = { include: [pair.name], map, sync: syncSettings };
        await rejects(runInit(pair.url, elsewhere, over), (error) => {
          match(refusal(error), /slot seren_\S+ of this scope is in use[^]*pid \d+/);
          return true;
        });
      } finally {
        child.kill("SIGKILL");
        await child.status;
        await Deno.remove(folder, { recursive: true });
      }
      await until(
        pair.url,
        `SELECT count(*) = 0 AS ok FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
          WHERE l.locktype = 'advisory' AND d.datname = '${pair.name}'`,
      );
      await until(pair.url, creating); // the server process has not been notified
      const copied = copy(pair);
      copied.catch(() => {}); // awaited below
      await until(
        pair.url,
        `SELECT count(*) > 0 AS ok FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
          WHERE l.locktype = 'advisory' AND d.datname = '${pair.name}'`,
      );
      await writer.unsafe("COMMIT").simple();
      await copied;
    });
    await exec(pair.url, "DELETE FROM b");
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 101);
  });
});

Deno.test("sync --resnapshot of a table that cannot be published leaves it in its stream", async () => {
  await withPair([both15, target18], small, async (pair) => {
    await copy(pair);
    await exec(pair.url, "ALTER TABLE b DROP CONSTRAINT b_pkey");
    await rejects(
      follow(pair, {
        action: { kind: "copy", tables: ["b"], areNew: false },
        sync: { ...syncSettings, identity: "fail" },
      }),
      (error) => {
        match(refusal(error), /public\.b|b: /);
        return true;
      },
    );
    await exec(
      pair.url,
      "ALTER TABLE b ADD PRIMARY KEY (id); UPDATE b SET a = 1; DELETE FROM b WHERE id = 7",
    );
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 199);
  });
});

Deno.test("sync adopts a waiting slot, resumes, adds tables, and reports what it cannot do", async () => {
  await withPair([both15, target18], small, async (pair) => {
    await exec(pair.url, "CREATE TABLE audit (id int PRIMARY KEY)");
    const rules = rulesOf({ schemaOnlyTables: ["audit"] });
    await copy(pair, { rules });
    const [name = ""] = await streamName(pair.url);
    await dropSubscription(pair.targetUrl, name);
    await exec(pair.url, "INSERT INTO a VALUES (1000, 'while nobody listened')");
    const adopted = await follow(pair, { rules });
    deepStrictEqual(adopted.report.databases[0]?.done, [`${name} adopted`]);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 201);

    await exec(pair.targetUrl, `ALTER SUBSCRIPTION ${name} DISABLE`);
    await exec(
      pair.url,
      `CREATE TABLE late (id serial PRIMARY KEY, a int REFERENCES a, v text); CREATE INDEX ON late (v);
       INSERT INTO late (a, v) SELECT n, 'late' FROM generate_series(1, 10) AS n;
       CREATE TABLE "Later On" (id int PRIMARY KEY)`,
    );
    const { report, events } = await follow(pair, { rules });
    deepStrictEqual(report.databases[0]?.done, [`${name} enabled`]);
    strictEqual(report.databases[0]?.unfollowed.length, 2);
    ok(events.some((event) => event.kind === "warning" && /2 tables are new/.test(event.message)));
    const action = { kind: "copy", tables: ["late", '"Later On"'], areNew: true } as const;
    await follow(pair, { rules, action });
    await exec(pair.url, `INSERT INTO "Later On" VALUES (1); UPDATE late SET v = 'x' WHERE id = 1`);
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 212);
    const keys = await query(
      pair.targetUrl,
      "SELECT conname FROM pg_constraint WHERE conrelid = 'late'::regclass AND contype = 'f'",
    );
    strictEqual(keys.length, 1);

    await rejects(follow(pair), (error) => {
      match(
        refusal(error),
        /other rules[^]*rule of the existing stream only[^]*public\.audit: structure only/,
      );
      return true;
    });
    await dropSubscription(pair.targetUrl, name);
    await query(pair.url, "SELECT pg_drop_replication_slot($1)", [name]);
    await rejects(follow(pair, { rules }), (error) => {
      match(refusal(error), /slot .* no longer exists on the source[^]*--resnapshot/);
      return true;
    });
    const again = await follow(pair, {
      rules,
      action: { kind: "copy", tables: ["*"], areNew: false },
    });
    deepStrictEqual(again.report.databases[0]?.streams.map(({ name, epoch }) => [name, epoch]), [
      [`${name}_e3`, 3],
    ]);
    await exec(pair.url, "DELETE FROM b; INSERT INTO a VALUES (-1, 'x')");
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 113);
    strictEqual(
      (await query(
        pair.url,
        "SELECT FROM pg_replication_slots WHERE database = current_database()",
      )).length,
      1,
    );
  });
});

Deno.test("a broken connection does not disable the subscription", async () => {
  await withPair([both15, target18], small, async (pair) => {
    await copy(pair);
    await query(
      pair.url,
      `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()`,
    );
    await exec(pair.url, "INSERT INTO a VALUES (-5, 'after')");
    await drain(pair.url);
    strictEqual(await compareRows(pair.url, pair.targetUrl), 201);
  });
});

Deno.test("sync refuses without an existing stream: replicating from now on would leave a gap", async () => {
  await withDatabase(both15, undefined, async ({ name, url }) => {
    await withDatabase(target18, undefined, async (target) => {
      await rejects(follow({ name, url, targetUrl: target.url }), (error) => {
        match(
          refusal(error),
          /no slot of init --enable-sync exists.* would leave a gap[^]*--resnapshot '\*'/,
        );
        return true;
      });
    });
  });
});

for (const [source, target] of [[both15, target18], [target18, source12]] as const) {
  Deno.test(`sync shows what cannot be applied, skips it, or resumes after a repair (to ${target.major})`, async () => {
    await withPair([source, target], small, async (pair) => {
      await copy(pair);
      const [name = ""] = await streamName(pair.url);
      await exec(pair.targetUrl, "INSERT INTO a VALUES (500, 'mine'), (501, 'mine too')");
      await exec(
        pair.url,
        "BEGIN; INSERT INTO b VALUES (499, 1); INSERT INTO a VALUES (500, 'theirs'); COMMIT",
      );
      await exec(pair.url, "INSERT INTO a VALUES (501, 'theirs too')");
      if (target.major >= 15) {
        await until(
          pair.targetUrl,
          "SELECT sum(apply_error_count) > 0 AS ok FROM pg_stat_subscription_stats",
        );
      }
      await exec(pair.targetUrl, `ALTER SUBSCRIPTION ${name} DISABLE`);
      await untilDisabled(pair);
      const lsn = await nextLsn(pair, target.major);
      const skip = (lsn: bigint) => follow(pair, { action: { kind: "skip", lsn } });
      await rejects(skip(parseLsn(lsn) + 8n), (error) => {
        match(refusal(error), /nothing was skipped/);
        ok(refusal(error).includes(`ends at ${lsn} and has 2 changes`));
        return true;
      });
      deepStrictEqual(
        await query(pair.targetUrl, "SELECT subenabled FROM pg_subscription"),
        [{ subenabled: false }],
      );
      // the second transaction stops it again
      await rejects(skip(parseLsn(lsn)), (error) => {
        match(
          refusal(error, 7),
          /keeps failing[^]*insert a \(id = 501\)[^]*cause: the target already has a row of a with id = 501 \(public\.a_pkey\)/,
        );
        return true;
      });
      await exec(pair.targetUrl, `ALTER SUBSCRIPTION ${name} DISABLE`);
      await untilDisabled(pair);
      const read = (id: number) => query(pair.targetUrl, `SELECT v FROM a WHERE id = ${id}`);
      deepStrictEqual(await read(500), [{ v: "mine" }]);
      deepStrictEqual(await query(pair.targetUrl, "SELECT FROM b WHERE id = 499"), []);
      await exec(pair.targetUrl, "DELETE FROM a WHERE id = 501");
      await follow(pair, { action: { kind: "retry" } });
      deepStrictEqual(await read(501), [{ v: "theirs too" }]);
    });
  });
}

async function dropSubscription(url: string, name: string): Promise<void> {
  for (const action of ["DISABLE", "SET (slot_name = NONE)"]) {
    await query(url, `ALTER SUBSCRIPTION ${name} ${action}`);
  }
  await query(url, `DROP SUBSCRIPTION ${name}`);
}

/** Waits until the subscription is disabled and its slot is not in use. */
async function untilDisabled({ url, targetUrl }: Pair): Promise<void> {
  await until(
    targetUrl,
    `SELECT NOT subenabled AS ok FROM pg_subscription
      WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  await until(
    url,
    "SELECT NOT bool_or(active) AS ok FROM pg_replication_slots WHERE database = current_database()",
  );
}

/** The position that `sync` shows for a disabled, failing subscription. */
async function nextLsn(pair: Pair, major: number): Promise<string> {
  let text = "";
  await rejects(follow(pair), (error) => {
    text = refusal(error);
    return true;
  });
  match(
    text,
    major >= 15
      ? /stopped after \d+ apply error/
      : /is disabled, and the next transaction cannot be applied/,
  );
  match(text, /insert b \(id = 499\)[^]*insert a \(id = 500\)/);
  match(text, /cause: the target already has a row of a with id = 500/);
  match(text, /--retry[^]*--skip-lsn/);
  const lsn = /ends at ([0-9A-F]+\/[0-9A-F]+)/.exec(text)?.[1];
  ok(lsn);
  return lsn;
}
