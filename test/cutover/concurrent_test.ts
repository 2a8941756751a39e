import { match, ok, rejects, strictEqual } from "node:assert/strict";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import type { ReplicatorError } from "../../lib/core/internal.ts";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { query } from "../support/sql.ts";
import { accepts } from "./open_probe.ts";
import { runCutover } from "./run_program.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const prerequisite = { exitCode: 3 };
const write = "INSERT INTO balance VALUES (-1, 0)";

Deno.test("a second run is refused while the first holds the barrier, and leaves its streams alone", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const { code, error, hitAt } = await runCutover(inputOf(pair), {
      point: "begin fence 1",
      halts: true,
      act: async () => {
        for (const second of [switchCutover("run", pair), prepareCutover(pair)]) {
          await rejects(second, (error: ReplicatorError) => {
            strictEqual(error.exitCode, prerequisite.exitCode);
            // it is the only reason: what the first is doing is none
            match(error.message, /for 1 reason; nothing was changed/);
            match(error.details.join("\n"), /another cutover command is working .* pid \d+/);
            return true;
          });
        }
        ok((await query(pair.url, "SELECT FROM pg_subscription WHERE subenabled")).length > 0);
      },
    });
    strictEqual(hitAt, "begin fence 1");
    strictEqual(code, 0, error);
    await switchCutover("rollback", pair);
  });
});

Deno.test("a run that was overtaken by a rollback after its commit does not open the target too", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const { code, error } = await runCutover(inputOf(pair), {
      point: "begin open 2",
      halts: true,
      act: async () => {
        strictEqual(await accepts(pair.url, write), false);
        await rejects(switchCutover("rollback", pair), prerequisite);
        // as after a failure of both servers, or of the network
        for (const url of [pair.url, pair.targetUrl]) {
          await query(
            url,
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name = 'postgres-seren-replicator'`,
          );
        }
        await switchCutover("rollback", pair);
        strictEqual(await accepts(pair.url, write), true);
      },
    });
    ok(code !== 0);
    match(error, /changed the state|failed/);
    strictEqual(await accepts(pair.url, write), true);
    strictEqual(await accepts(pair.targetUrl, write), false);
  });
});

for (const point of ["begin fence 1", "end way-back 2"]) {
  Deno.test(`a run that died at ${point} is repeated, and its streams are restored first`, async () => {
    await withCutoverPair({ source, target }, async (pair) => {
      await prepareCutover(pair);
      await runCutover(inputOf(pair), {
        point,
        halts: true,
        act: (child) => Promise.resolve(child.kill("SIGKILL")),
      });
      // between stopping one stream and starting the other
      for (const { name } of await query(pair.url, "SELECT subname AS name FROM pg_subscription")) {
        await query(pair.url, `ALTER SUBSCRIPTION "${name}" DISABLE`);
      }
      const remedy = /cutover run starts the stream again/;
      const { databases } = await executeCutoverStatus(pair.servers, quietRun);
      match(JSON.stringify(databases[0]!.findings), remedy);
      const { findings } = await executeStatus(
        { ...pair.servers, sampleMs: 0, now: () => new Date() },
        quietRun,
      );
      match(findings.find(({ id }) => id === "cutover-turning")!.remedy!, remedy);
      await switchCutover("run", pair);
      strictEqual(await accepts(pair.targetUrl, write), true);
    });
  });
}

function inputOf({ url, targetUrl, name, servers }: CutoverPair) {
  return {
    command: "run",
    sourceUrl: url,
    targetUrl,
    databases: [name],
    map: servers.databases.map,
    maxPauseMs: 60_000, // it is halted for a while
  } as const;
}
