/** Copies of tables to a target that a cutover may open meanwhile. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { prepareCutover, switchCutover, withCutoverPair } from "../support/cutover_pair.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { runSync } from "../support/sync.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

const schema = "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)";

/** The error of a refused command, as text. */
function refusal(error: unknown): string {
  ok(error instanceof ReplicatorError, `${error}`);
  strictEqual(error.exitCode, 3, error.message);
  return [error.message, ...error.details, error.remedy].join("\n");
}

Deno.test("while sync copies a table that a cutover left out, no switch opens the target", async () => {
  await withCutoverPair({ source, target, schema }, async (pair) => {
    const { url, targetUrl, name } = pair;
    const copyAgain = () =>
      runSync(url, targetUrl, {
        include: [name],
        action: { kind: "copy", areNew: false, tables: ["left"] },
      });
    for (const side of [url, targetUrl]) {
      await exec(side, `CREATE TABLE "left" (id int PRIMARY KEY)`);
    }
    await exec(targetUrl, `INSERT INTO "left" VALUES (1)`);
    await prepareCutover(pair);
    await withSession(url, async (writer) => {
      // the slot of the copy waits for this transaction
      await writer.unsafe(`BEGIN; INSERT INTO "left" VALUES (2)`).simple();
      const copying = copyAgain();
      copying.catch(() => {});
      await until(
        url,
        `SELECT count(*) > 0 AS ok FROM pg_replication_slots
          WHERE database = current_database() AND confirmed_flush_lsn IS NULL`,
      );
      await rejects(switchCutover("run", pair), (error) => {
        match(refusal(error), /sync is copying tables of the database[^]*pid \d+/);
        return true;
      });
      // the copy does not notice that it lost the lock, and has emptied nothing
      await query(
        targetUrl,
        `SELECT pg_terminate_backend(pid) FROM pg_locks
          WHERE locktype = 'advisory' AND classid = 1397051971 AND database =
                (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      await until(
        targetUrl,
        `SELECT count(*) = 0 AS ok FROM pg_locks
          WHERE locktype = 'advisory' AND classid = 1397051971 AND database =
                (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      for (const command of [() => switchCutover("run", pair), () => prepareCutover(pair)]) {
        await rejects(command(), (error) => {
          match(refusal(error), /a copy is running or was interrupted \(left\)\n.*--resnapshot/);
          return true;
        });
      }
      await writer.unsafe("COMMIT").simple();
      await rejects(copying);
    });
    deepStrictEqual(await query(targetUrl, `SELECT id FROM "left"`), [{ id: 1 }]);
    await copyAgain();
    deepStrictEqual(await query(targetUrl, `SELECT id FROM "left"`), [{ id: 2 }]);
    await prepareCutover(pair);
    await switchCutover("run", pair);
  });
});

Deno.test("sync --resnapshot copies a table that a prepared cutover has closed, and prepare adopts its stream", async () => {
  await withCutoverPair({ source, target, schema }, async (pair) => {
    const { url, targetUrl, name } = pair;
    await prepareCutover(pair);
    const { events } = await runSync(url, targetUrl, {
      include: [name],
      action: { kind: "copy", areNew: false, tables: ["a"] },
    });
    match(JSON.stringify(events), /prepared without the stream of this copy.*cutover prepare/);
    await rejects(exec(targetUrl, "INSERT INTO a VALUES (2)"), /closed by a cutover/);
    await rejects(switchCutover("run", pair), (error) => {
      const text = refusal(error);
      match(text, /the stream seren_\S+ no longer exists\n.*run cutover prepare again/);
      match(text, /the stream seren_\S+ was created since cutover prepare\n.*prepare again/);
      strictEqual(text.match(/→/g)!.length, 2, text);
      return true;
    });
    await prepareCutover(pair);
    await exec(url, "INSERT INTO a VALUES (3)");
    await switchCutover("run", pair);
    deepStrictEqual(await query(targetUrl, "SELECT id FROM a ORDER BY id"), [{ id: 1 }, { id: 3 }]);
    await exec(targetUrl, "INSERT INTO a VALUES (4)");
  });
});
