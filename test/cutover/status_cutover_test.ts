/**
 * What `status` and `cutover status` show of a cutover: refused writes, and every phase as it is.
 */
import { deepStrictEqual, doesNotMatch, match, ok, rejects, strictEqual } from "node:assert/strict";
import { cutoverStatusLines } from "../../lib/cli/print/cutover_lines.ts";
import { statusLines } from "../../lib/cli/print/status_lines.ts";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { prometheusMetrics } from "../../lib/commands/status/prometheus.ts";
import { statusFormProblems } from "../../lib/commands/status/schema.ts";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { acknowledgedSchema } from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { exec, query } from "../support/sql.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

const size = { columns: 120, color: false } as const;

async function readStatus({ servers }: Pick<CutoverPair, "servers">) {
  const report = await executeStatus(
    { ...servers, sampleMs: 100, now: () => new Date() },
    quietRun,
  );
  deepStrictEqual(statusFormProblems(report), []);
  return report;
}

/** Tries to write as a role that may write to the table and nothing else. */
async function tryWrites(url: string, times: number): Promise<void> {
  for (let count = 0; count < times; count++) {
    await rejects(
      exec(
        url,
        "SET ROLE plain_writer; BEGIN READ WRITE; INSERT INTO balance VALUES (-1, 0); COMMIT",
      ),
      /closed by a cutover/,
    );
  }
}

Deno.test("writes that the fence refuses are counted for plain roles, and shown everywhere", async () => {
  const schema = `${acknowledgedSchema}
    GRANT INSERT ON balance TO plain_writer; GRANT USAGE ON SCHEMA public TO plain_writer;`;
  for (const url of [source.url(), target.url()]) {
    await exec(
      url,
      `DO $$ BEGIN CREATE ROLE plain_writer; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
    );
  }
  await withCutoverPair({ source, target, schema }, async (pair) => {
    await prepareCutover(pair);
    await tryWrites(pair.targetUrl, 2);
    const early = await executeCutoverStatus(pair.servers, quietRun);
    strictEqual(early.databases[0]?.refusedWrites, 2);
    match(
      cutoverStatusLines(early, size).join("\n"),
      /2 attempts to write on the closed target were refused/,
    );

    const report = await switchCutover("run", pair, {
      hook: (hook) => hook === "switch" ? tryWrites(pair.url, 2) : undefined,
    });
    strictEqual(report!.databases[0]?.refusedWrites, 2);
    // they waited for the switch: no client is to blame
    const switched = await readStatus(pair);
    deepStrictEqual([switched.databases[0]?.cutover?.refusedWrites, switched.findings], [0, []]);
    await tryWrites(pair.url, 3);
    // read-only mode refuses it before the fence does
    await rejects(exec(pair.url, "INSERT INTO balance VALUES (-1, 0)"), /read-only transaction/);
    const late = await executeCutoverStatus(pair.servers, quietRun);
    strictEqual(late.databases[0]?.refusedWrites, 3);
    const status = await readStatus(pair);
    strictEqual(status.databases[0]?.cutover?.refusedWrites, 3);
    deepStrictEqual(
      status.findings.map(({ id, severity, side }) => ({ id, severity, side })),
      [{ id: "cutover-refused-writes", severity: "warning", side: "source" }],
    );
    match(statusLines(status, size).join("\n"), /Writes refused on the closed source: 3\n/);
    match(prometheusMetrics(status), /seren_cutover_refused_writes\{[^}]*\} 3\n/);

    // the target's own count begins anew when it is closed
    await switchCutover("rollback", pair);
    const back = await executeCutoverStatus(pair.servers, quietRun);
    deepStrictEqual([back.databases[0]?.phase, back.databases[0]?.refusedWrites], ["prepared", 0]);
  });
});

Deno.test("a side without a counter, as earlier versions prepared it, refuses writes uncounted", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    for (const url of [pair.url, pair.targetUrl]) {
      await exec(url, "DROP SEQUENCE seren_cutover.refused_writes");
    }
    const report = await switchCutover("run", pair);
    strictEqual(report!.databases[0]?.refusedWrites, null);
    await rejects(
      exec(pair.url, "BEGIN READ WRITE; INSERT INTO balance VALUES (-1, 0); COMMIT"),
      /closed by a cutover/,
    );
    const status = await readStatus(pair);
    deepStrictEqual([status.databases[0]?.cutover?.refusedWrites, status.findings], [null, []]);
  });
});

Deno.test("the same database keeps its name in the report of a rollback with --map", async () => {
  await withCutoverPair({ source: target, target }, async (pair) => {
    await prepareCutover(pair);
    for (const direction of ["run", "rollback"] as const) {
      const report = await switchCutover(direction, pair);
      strictEqual(report!.databases[0]?.database, pair.name);
      ok(report!.databases[0].compared !== null);
      strictEqual(report!.databases[0].refusedWrites, 0);
    }
  });
});

Deno.test("after a switch, status names the side whose sequences are behind", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    const printed = statusLines(await readStatus(pair), size).join("\n");
    match(printed, /sequences behind on the source \(set at rollback\): .* by 1,0\d\d/);
    doesNotMatch(printed, /by -/);
  });
});

Deno.test("after a switch, an unreachable side leads to no advice against the cutover", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    const nowhere = "postgres://nobody@127.0.0.1:1/none";
    const noTarget = await readStatus({
      servers: { ...pair.servers, target: await endpointOf(nowhere, "target") },
    });
    deepStrictEqual(
      noTarget.findings.map(({ id }) => id),
      ["target-unreachable", "cutover-unknown"],
    );
    const noSource = await readStatus({
      servers: {
        ...pair.servers,
        source: await endpointOf(nowhere, "source"),
        databases: { include: [], exclude: [], map: {} },
      },
    });
    const own = noSource.databases.find((each) => each.target === pair.name);
    strictEqual(own?.cutover?.phase, "switched");
    deepStrictEqual(
      noSource.findings.filter(({ database }) => database === pair.name).map(({ id }) => id),
      [],
    );
  });
});

Deno.test("after finish, status reports the finished cutover instead of advising another copy", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    await executeFinish({
      ...pair.servers,
      openOldSide: false,
      confirm: () => Promise.resolve(true),
    }, quietRun);
    // the target lives on
    await exec(pair.targetUrl, "CREATE TABLE later (id int PRIMARY KEY)");
    const status = await readStatus(pair);
    deepStrictEqual([status.databases[0]?.cutover?.phase, status.findings], ["finished", []]);
    const printed = statusLines(status, size).join("\n");
    match(printed, /Cutover: finished; the target is in use/);
    doesNotMatch(printed, /init --enable-sync/);
    const finished = await executeCutoverStatus(pair.servers, quietRun);
    deepStrictEqual(finished.next, ["cleanup"]);
    deepStrictEqual(finished.databases.map(({ isKnown }) => isKnown), [true]);
    match(cutoverStatusLines(finished, size).join("\n"), / target .*✓ the cutover is finished/s);

    // no row that came back before may be in the way of what the source inserts again
    await exec(
      pair.targetUrl,
      "INSERT INTO ack (writer, n) SELECT 1, n FROM generate_series(1, 2500) AS n",
    );
    await executeFinish({
      ...pair.servers,
      openOldSide: true,
      confirm: () => Promise.resolve(true),
    }, quietRun);
    const [{ id }] = await query(
      pair.url,
      "INSERT INTO ack (writer, n) VALUES (2, 1) RETURNING id::int",
    ) as [{ id: number }];
    ok(id > 2500, `the source continues with ${id}`);
    const forgotten = await executeCutoverStatus(pair.servers, quietRun);
    deepStrictEqual(forgotten.next, []);
    deepStrictEqual(forgotten.databases.map(({ isKnown }) => isKnown), [false]);
    const shown = cutoverStatusLines(forgotten, size).join("\n");
    match(shown, /not known/);
    doesNotMatch(shown, /cutover prepare|is finished/);
    const nothing = statusLines(await readStatus(pair), size).join("\n");
    match(nothing, /the target is in use, and nothing is left to do[^]*! nothing is replicated$/);
  });
});
