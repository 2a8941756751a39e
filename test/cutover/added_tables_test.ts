import { deepStrictEqual, match, ok, rejects } from "node:assert/strict";
import { executeRehearse } from "../../lib/commands/cutover/rehearse.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { drain } from "../support/replicated.ts";
import { exec, query } from "../support/sql.ts";
import { runSync } from "../support/sync.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

Deno.test("preparing again without a way back removes the one that exists", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const count = async (url: string, what: string) => (await query(url, what)).length;
    const subscriptions =
      "SELECT FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    await prepareCutover(pair);
    deepStrictEqual([
      await count(pair.url, subscriptions),
      await count(pair.targetUrl, "SELECT FROM pg_publication"),
    ], [1, 1]);
    await prepareCutover(pair, { wayBack: "none" });
    deepStrictEqual([
      await count(pair.url, subscriptions),
      await count(pair.targetUrl, "SELECT FROM pg_publication"),
    ], [0, 0]);
    await switchCutover("run", pair);
    const now = () => new Date();
    await rejects(
      executeRehearse(
        {
          ...pair.servers,
          maxPauseMs: 5_000,
          tokens: 1,
          brownoutMs: undefined,
          sequenceMargin: 0,
          now,
        },
        quietRun,
      ),
      /the target is in use, and there is no way back to rehearse/,
    );
  });
});

Deno.test("tables that were added after prepare take the way back too, once prepare has run again", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const { url, targetUrl, name } = pair;
    await prepareCutover(pair);
    await exec(url, "CREATE TABLE added (id int PRIMARY KEY); INSERT INTO added VALUES (1)");
    await runSync(url, targetUrl, {
      include: [name],
      action: { kind: "copy", areNew: true, tables: ["added"] },
    });
    await prepareCutover(pair);
    await switchCutover("run", pair);
    await exec(targetUrl, "INSERT INTO added VALUES (2)");
    await switchCutover("rollback", pair);
    deepStrictEqual(await query(url, "SELECT id FROM added ORDER BY id"), [{ id: 1 }, { id: 2 }]);
    await exec(url, "INSERT INTO added VALUES (3)");
    await drain(url);
    deepStrictEqual(
      (await query(targetUrl, "SELECT id FROM added ORDER BY id")).map(({ id }) => id),
      [1, 2, 3],
    );
  });
});

Deno.test("rollback is refused while replicated tables have partitions that only the target has", async () => {
  const schema =
    `CREATE TABLE sale (year int, id int, PRIMARY KEY (year, id)) PARTITION BY LIST (year);
    CREATE TABLE sale_2025 PARTITION OF sale FOR VALUES IN (2025);`;
  await withCutoverPair({ source, target, schema }, async (pair) => {
    // one that exists before prepare is known to it, and lacks a way back all the same
    await exec(
      pair.targetUrl,
      "CREATE TABLE sale_2027 PARTITION OF sale FOR VALUES IN (2027)",
    );
    await prepareCutover(pair);
    const switched = await switchCutover("run", pair);
    match(switched!.warnings.join("\n"), /partitions that only the target has: sale_2027;/);
    await exec(pair.targetUrl, "INSERT INTO sale VALUES (2025, 1), (2027, 3)");
    const early = await switchCutover("rollback", pair).then(() => undefined, (error) => error);
    match(`${early?.details}`, /way back does not carry, with their rows: sale_2027,/);
    await exec(pair.targetUrl, "ALTER TABLE sale DETACH PARTITION sale_2027");
    // the way back is stuck too, and nobody waits for it
    await using stuck = await openSession(pair.servers.target);
    const [stream] = await query<{ name: string }>(
      pair.targetUrl,
      "SELECT relname AS name FROM pg_class WHERE relnamespace = 'seren_cutover'::regnamespace AND relkind = 'r' AND relname LIKE 'token_%' AND oid NOT IN (SELECT prrelid FROM pg_publication_rel)",
    );
    const maxPauseMs = 90_000;
    let pauseMs: number | undefined;
    const inTime = await switchCutover("rollback", pair, {
      maxPauseMs,
      onUnfinished: (report) => {
        pauseMs = report.pauseMs;
        return Promise.resolve();
      },
      hook: (hook) =>
        hook === "before"
          ? Promise.all([
            exec(
              pair.targetUrl,
              `CREATE TABLE sale_2026 PARTITION OF sale FOR VALUES IN (2026);
               INSERT INTO sale VALUES (2026, 2)`,
            ),
            stuck.execute(`BEGIN; LOCK TABLE seren_cutover."${stream!.name}"`),
          ]).then(() => {})
          : undefined,
    }).then(() => undefined, (error) => error);
    ok(pauseMs !== undefined && pauseMs < maxPauseMs, `${pauseMs} ms`);
    await stuck.close();
    match(`${inTime}`, /partitions of replicated tables were created in the meantime.*: sale_2026/);
    const refused = await switchCutover("rollback", pair).then(() => undefined, (error) => error);
    match(`${refused?.details}`, /way back does not carry, with their rows: sale_2026/);
    deepStrictEqual(refused.exitCode, 3);
    await exec(pair.targetUrl, "ALTER TABLE sale DETACH PARTITION sale_2026");
    const report = await switchCutover("rollback", pair);
    match(report!.warnings.join("\n"), /are not replicated: sale_2026, sale_2027/);
    const rows = "SELECT year, id FROM sale";
    deepStrictEqual(await query(pair.url, rows), [{ year: 2025, id: 1 }]);
    deepStrictEqual(
      (await query(pair.targetUrl, `${rows}_2026`)).map(({ id }) => id),
      [2],
    );
  });
});
