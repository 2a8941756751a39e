/** Transactions that are applied in several parts, and what is only known at their end. */
import { match, ok, rejects, strictEqual } from "node:assert/strict";
import { ChangeRefusedError } from "../../lib/apply/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { peakBytesOf } from "../bench/processes.ts";
import { denoEnvironment } from "../support/cli.ts";
import {
  type ClientStream,
  createClientStream,
  endClientStream,
  RunningApplier,
} from "../support/client_stream.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase } from "../support/databases.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { endpointOf } from "../support/init.ts";
import { exec, query } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

const old = await sharedCluster(12);
const current = await sharedCluster(18);

const program = new URL("../support/apply_program.ts", import.meta.url).pathname;

async function between(
  schemas: { readonly source: string; readonly target: string },
  use: (stream: ClientStream) => Promise<void>,
): Promise<void> {
  await using source = await createDatabase(old, schemas.source);
  await using target = await createDatabase(current, schemas.target);
  const stream = await createClientStream(source.url, target.url);
  try {
    await use(stream);
  } finally {
    await endClientStream(stream);
  }
}

Deno.test("a large transaction of which a filter leaves nothing in some parts is applied", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v text)";
  await between({ source: schema, target: schema }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await exec(targetUrl, "UPDATE seren_apply.stream_table SET row_filter = 'id > 20000'");
    await using applier = new RunningApplier(stream);
    await exec(
      sourceUrl,
      "INSERT INTO a SELECT n, repeat('x', 100) FROM generate_series(1, 20002) AS n",
    );
    await Promise.race([drain(sourceUrl), applier.ended]);
    const [{ rows }] = await query(targetUrl, "SELECT json_agg(id ORDER BY id) AS rows FROM a") as [
      { rows: number[] },
    ];
    strictEqual(String(rows), "20001,20002");
  });
});

Deno.test("a source with a short wal_sender_timeout waits for a target that is busy with a large transaction", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v text)";
  await between({ source: schema, target: schema }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    const name = new URL(sourceUrl).pathname.slice(1);
    await exec(sourceUrl, `ALTER DATABASE ${name} SET wal_sender_timeout = '300ms'`);
    const blocker = await openSession(await endpointOf(targetUrl, "target"));
    await using applier = new RunningApplier(stream);
    {
      await using _released = blocker;
      await blocker.execute("BEGIN; LOCK TABLE public.a IN SHARE MODE");
      await exec(
        sourceUrl,
        "INSERT INTO a SELECT n, repeat(md5(n::text), 100) FROM generate_series(1, 6000) AS n",
      );
      await waitUntil("the target is busy", async () => {
        const [row] = await query(
          targetUrl,
          "SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted AND relation = 'a'::regclass",
        );
        return row!["waiting"] === 1;
      });
      await query(targetUrl, "SELECT pg_sleep(1)");
    }
    await Promise.race([drain(sourceUrl), applier.ended]);
    strictEqual(await compareRows(sourceUrl, targetUrl), 6_000);
    strictEqual(applier.messages.join(), "");
  });
});

Deno.test("values of a DEFERRABLE key that a large transaction moves are not duplicates at its end", async () => {
  const schema = `
    CREATE TABLE a (id int PRIMARY KEY, place int UNIQUE DEFERRABLE, v text);
    CREATE TABLE other (id int PRIMARY KEY)`;
  await between({ source: schema, target: schema }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await exec(
      sourceUrl,
      "INSERT INTO a SELECT n, n, repeat('x', 200) FROM generate_series(1, 10000) AS n",
    );
    {
      await using applier = new RunningApplier(stream);
      await exec(sourceUrl, "UPDATE a SET place = place + 1");
      await Promise.race([drain(sourceUrl), applier.ended]);
      strictEqual(await compareRows(sourceUrl, targetUrl), 10_000);
    }
    // a value that the source does not have
    await exec(targetUrl, "INSERT INTO a VALUES (-1, 1)");
    await exec(sourceUrl, "BEGIN; UPDATE a SET place = place - 1; TRUNCATE other; COMMIT");
    await using applier = new RunningApplier(stream);
    await rejects(applier.ended, (error) => {
      if (!(error instanceof ChangeRefusedError)) return false;
      match(error.message, /duplicate values of the DEFERRABLE key a_place_key/);
      return true;
    });
  });
});

Deno.test("a column that is added on the target first is known when the source sends it", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY)";
  await between({ source: schema, target: schema }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await using applier = new RunningApplier(stream);
    await exec(sourceUrl, "INSERT INTO a VALUES (1)");
    await Promise.race([drain(sourceUrl), applier.ended]);
    for (const url of [targetUrl, sourceUrl]) await exec(url, "ALTER TABLE a ADD v text");
    await exec(sourceUrl, "INSERT INTO a VALUES (2, 'x')");
    await Promise.race([drain(sourceUrl), applier.ended]);
    strictEqual(await compareRows(sourceUrl, targetUrl), 2);
  });
});

Deno.test("what a deferred trigger refuses at COMMIT is reported with its own transaction", async () => {
  const table = "CREATE TABLE a (id int PRIMARY KEY);";
  await between({
    source: table,
    target: `${table}
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.id = 2 THEN RAISE 'not this one'; END IF; RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse();
      ALTER TABLE a ENABLE ALWAYS TRIGGER refuse`,
  }, async (stream) => {
    const { sourceUrl, targetUrl, name } = stream;
    for (let id = 1; id <= 9; id++) await exec(sourceUrl, `INSERT INTO a VALUES (${id})`);
    {
      await using applier = new RunningApplier(stream);
      await rejects(applier.ended, /not this one/);
    }
    strictEqual((await query(targetUrl, "SELECT id FROM a")).length, 1);
    await query(
      targetUrl,
      `UPDATE seren_apply.stream SET enabled = true, skip_lsn = (error ->> 'finishLsn')::pg_lsn WHERE name = $1`,
      [name],
    );
    await using applier = new RunningApplier(stream);
    await Promise.race([drain(sourceUrl), applier.ended]);
    strictEqual((await query(targetUrl, "SELECT id FROM a")).length, 8);
  });
});

Deno.test({
  name: "what a large transaction takes in memory does not grow with it",
  ignore: Deno.build.os !== "linux", // reads /proc
  fn: async () => {
    const schema = "CREATE TABLE a (id int PRIMARY KEY, v text)";
    await between({ source: schema, target: schema }, async ({ sourceUrl, targetUrl, name }) => {
      await exec(
        sourceUrl,
        "INSERT INTO a SELECT n, repeat(md5(n::text), 32) FROM generate_series(1, 250000) AS n",
      );
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--lock=deno.lock", "--frozen", "--no-check", "-A", program],
        env: { ...denoEnvironment(), SOURCE: sourceUrl, TARGET: targetUrl, STREAM: name },
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      try {
        await Promise.race([drain(sourceUrl), child.status]);
        const megabytes = peakBytesOf([child.pid]) / 1024 / 1024;
        ok(megabytes < 190, `250 MB took ${Math.round(megabytes)} MB of memory`);
      } finally {
        child.kill("SIGKILL");
        await child.status;
      }
      strictEqual(await compareRows(sourceUrl, targetUrl), 250_000);
    });
  },
});
