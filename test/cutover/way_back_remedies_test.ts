/** What prevents a rollback, and whether what is printed about it helps. */
import { deepStrictEqual, match, ok, rejects } from "node:assert/strict";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { exec, query, withSession } from "../support/sql.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

/** Runs statements on a side that is read-only by default. */
async function execClosed(url: string, ...statements: readonly string[]): Promise<void> {
  await withSession(url, async (session) => {
    for (const statement of ["SET default_transaction_read_only = off", ...statements]) {
      await session.unsafe(statement).simple();
    }
  });
}

Deno.test("what prevents a rollback can be corrected as printed; tables that are gone on both sides do not prevent it", async () => {
  const schema = ["a", "b", "c", "d"].map((table) =>
    `CREATE TABLE ${table} (id int PRIMARY KEY, v int); INSERT INTO ${table} VALUES (1, 0);`
  ).join(" ");
  await withCutoverPair({ source, target, schema }, async (pair) => {
    const { url, targetUrl, servers } = pair;
    await prepareCutover(pair);
    await switchCutover("run", pair);
    // an ordinary migration, on both sides
    await execClosed(url, "ALTER TABLE c RENAME TO renamed", "DROP TABLE d");
    await exec(targetUrl, "ALTER TABLE c RENAME TO renamed; DROP TABLE d");
    // pg_restore --disable-triggers leaves this behind, and somebody dropped a trigger
    await execClosed(url, "ALTER TABLE a ENABLE TRIGGER ALL", "DROP TRIGGER seren_fence ON b");
    const { databases: [state] } = await executeCutoverStatus(servers, quietRun);
    const found = state!.findings.map(({ message }) => message).join("\n");
    match(found, /dropped or renamed on both sides since cutover prepare: c, d/);
    match(found, /the fence is disabled on a/);
    match(found, /no fence exists on b/);
    await rejects(switchCutover("rollback", pair), (error) => {
      ok(error instanceof ReplicatorError);
      const text = [...error.details, error.remedy].join("\n");
      ok(!/prepare again/.test(text), text);
      return true;
    });
    for (const { severity, remedy } of state!.findings) {
      if (severity === "warning") continue;
      const [, statements] = remedy!.match(/; on the source: (.*)$/)!;
      await withSession(url, async (session) => {
        for (const statement of statements!.split(/(?<=;) /)) {
          await session.unsafe(statement).simple();
        }
      });
    }
    await exec(targetUrl, "INSERT INTO renamed VALUES (2, 0); INSERT INTO b VALUES (2, 0)");
    await switchCutover("rollback", pair);
    for (const table of ["renamed", "b"]) {
      deepStrictEqual(await query(url, `SELECT id FROM ${table} ORDER BY id`), [{ id: 1 }, {
        id: 2,
      }]);
      await rejects(exec(targetUrl, `DELETE FROM ${table}`), /read-only|closed by a cutover/);
      await exec(url, `INSERT INTO ${table} VALUES (3, 0)`);
    }
  });
});
