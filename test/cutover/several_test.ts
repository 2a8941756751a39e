import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { InterruptedError, type ReplicatorError } from "../../lib/core/internal.ts";
import type { DatabaseRoute } from "../../lib/cutover/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { exec } from "../support/sql.ts";
import { accepts } from "./open_probe.ts";
import { runCutover } from "./run_program.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const write = "INSERT INTO balance VALUES (-1, 0)";

/** Both databases of two pairs, as one cutover. */
async function together(a: CutoverPair, b: CutoverPair): Promise<CutoverPair> {
  return {
    ...a,
    servers: {
      source: await endpointOf(source.url(), "source"),
      target: await endpointOf(target.url(), "target"),
      databases: {
        include: [a.name, b.name],
        exclude: [],
        map: { [a.name]: a.name, [b.name]: b.name },
      },
    },
  };
}

Deno.test("a run that died after closing one of two databases leads forward and back", async () => {
  await withCutoverPair({ source, target }, async (a) => {
    await withCutoverPair({ source, target }, async (b) => {
      const both = await together(a, b);
      const { map } = both.servers.databases;
      await prepareCutover(both);
      for (const way of ["rollback", "run"] as const) {
        const { hitAt } = await runCutover({
          command: "run",
          sourceUrl: source.url(),
          targetUrl: target.url(),
          databases: [a.name, b.name],
          map,
          maxPauseMs: 60_000,
        }, {
          point: "begin fence 2",
          halts: true,
          act: (child) => Promise.resolve(child.kill("SIGKILL")),
        });
        strictEqual(hitAt, "begin fence 2");
        const open = await Promise.all(
          [a, b].map(({ url }) => accepts(url, write)),
        );
        deepStrictEqual(open.toSorted(), [false, true]);
        // a request to stop must not leave a database closed
        const stopping = new AbortController();
        const confirm = () => {
          stopping.abort(new InterruptedError());
          return Promise.resolve(true);
        };
        await switchCutover(way, both, { confirm }, { ...quietRun, signal: stopping.signal });
        for (const { url, targetUrl } of [a, b]) {
          strictEqual(await accepts(url, write), way === "rollback");
          strictEqual(await accepts(targetUrl, write), way === "run");
        }
      }
    });
  });
});

Deno.test("what keeps one database from closing does not hide that the other is closed", async () => {
  await withCutoverPair({ source, target }, async (a) => {
    await withCutoverPair({ source, target }, async (b) => {
      const both = await together(a, b);
      await prepareCutover(both);
      const { map } = both.servers.databases;
      await runCutover({
        command: "run",
        sourceUrl: source.url(),
        targetUrl: target.url(),
        databases: [a.name, b.name],
        map,
        maxPauseMs: 60_000,
      }, {
        point: "begin fence 2",
        halts: true,
        act: (child) => Promise.resolve(child.kill("SIGKILL")),
      });
      const isOpen = await Promise.all([a, b].map(({ url }) => accepts(url, write)));
      const [closed, open] = isOpen[0] === true ? [b, a] : [a, b];
      const expectNamed = (error: Error, reason: RegExp) => {
        const { message, details, remedy } = error as ReplicatorError;
        match(message, new RegExp(`^both sides of ${closed.name} are closed and refuse writes`));
        match(details.join("\n"), reason);
        match(remedy ?? "", /run cutover run again: .* or run cutover rollback: .* the source/);
        return true;
      };
      // found before anything begins
      await exec(open.url, "ALTER TABLE balance ADD late int");
      await rejects(
        switchCutover("run", both),
        (error: Error) => expectNamed(error, /late.*/),
      );
      await exec(open.url, "ALTER TABLE balance DROP late");
      // found while it is switched
      const holder = await openSession(await endpointOf(open.url, "source"));
      await holder.execute("BEGIN; LOCK TABLE public.balance IN ROW EXCLUSIVE MODE");
      let outcome: string | undefined;
      const hooks: string[] = [];
      const hook = (name: string, routes: readonly DatabaseRoute[]) => {
        hooks.push(`${name} ${routes.map(({ from }) => from.database).toSorted().join(",")}`);
        return undefined;
      };
      await rejects(
        switchCutover("run", both, {
          barrierAttempts: 1,
          hook,
          onUnfinished: (report) => {
            outcome = report.outcome;
            return Promise.resolve();
          },
        }),
        (error: Error) => expectNamed(error, /other transactions hold locks/),
      );
      strictEqual(outcome, "unfinished");
      await holder[Symbol.asyncDispose]();
      // clients of the closed one would be let through to an error
      deepStrictEqual(hooks, []);
      await switchCutover("rollback", both, { hook });
      const names = [a.name, b.name].toSorted().join(",");
      deepStrictEqual(hooks, [`switch ${names}`, `after ${names}`]);
      for (const { url } of [a, b]) strictEqual(await accepts(url, write), true);
    });
  });
});
