/** When the short copy is measured that predicts the duration of a run. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Prediction } from "../../../../lib/commands/init/predict/prediction.ts";
import { ReplicatorError, type RunEvent } from "../../../../lib/core/internal.ts";
import { sharedCluster } from "../../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../../support/databases.ts";
import { runInit } from "../../../support/init.ts";
import { exec, query } from "../../../support/sql.ts";
import { waitUntil } from "../../../support/wait.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const table =
  `CREATE TABLE t AS SELECT i, repeat('x', 200) AS x FROM generate_series(1, 20000) AS i;
  CREATE INDEX ON t (i)`;

/** Sessions of the tool on the target. */
const sessions =
  "SELECT FROM pg_stat_activity WHERE application_name = 'postgres-seren-replicator'";

Deno.test("alongside: the run begins without waiting for a prediction, and its report has one for every step", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, table);
    try {
      const { plan, report } = await runInit(url, target.url(), {
        include: [name],
        prediction: "alongside",
      });
      strictEqual(plan.predictedMs, undefined);
      ok(report.plan.predictedMs! > 0);
      const without = report.steps.filter(({ predictedMs }) => predictedMs === undefined);
      deepStrictEqual(without.map(({ step }) => step), ["estimate"]);
      await waitUntil(
        "no session is left",
        async () => (await query(target.url(), sessions)).length === 0,
      );
    } finally {
      await dropDatabase(target, name);
    }
  });
});

Deno.test("a database that is dropped is predicted before, as its sessions would prevent that", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, table);
    try {
      const options = { include: [name], prediction: "alongside" } as const;
      await runInit(url, target.url(), options);
      const { plan } = await runInit(url, target.url({ database: name }), {
        ...options,
        dropExisting: true,
      });
      strictEqual(plan.databases[0]?.action, "drop-and-create");
      ok(plan.predictedMs! > 0);
    } finally {
      await dropDatabase(target, name);
    }
  });
});

Deno.test("a measurement that fails is reported, and one that still runs ends with the run", async () => {
  const events: RunEvent[] = [];
  const common = {
    onPredicted: () => ok(false),
    signal: new AbortController().signal,
    events: (event: RunEvent) => void events.push(event),
  };
  {
    await using _failing = new Prediction({
      ...common,
      measure: () => Promise.reject(new ReplicatorError("no temporary tables")),
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  deepStrictEqual(events, [
    { kind: "info", message: "the duration could not be predicted: no temporary tables" },
  ]);
  {
    await using _slow = new Prediction({
      ...common,
      measure: (signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });
  }
  strictEqual(events.length, 1);
});
