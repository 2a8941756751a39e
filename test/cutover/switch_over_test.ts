import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { ignoreEvents } from "../../lib/core/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import {
  type DatabaseRoute,
  phaseOf,
  prepareDatabase,
  readSide,
  switchOver,
  type SwitchReport,
  type SwitchSettings,
} from "../../lib/cutover/internal.ts";
import {
  acknowledgedSchema,
  checkAcknowledged,
  startAcknowledgedLoad,
} from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { exec } from "../support/sql.ts";
import { syncSettings } from "../support/sync.ts";

const source15 = await sharedCluster(15);
const target18 = await sharedCluster(18);

const settings: SwitchSettings = {
  maxPauseMs: 10_000,
  onBlocker: "wait",
  barrierAttempts: 20,
  sequenceMargin: 1_000,
  endSessions: false,
  slotTimeoutMs: 20_000,
  unchecked: [],
  finalCheck: () => Promise.resolve(),
  hook: () => Promise.resolve(),
  now: () => new Date(),
};

Deno.test("a switch, a switch back and another one lose no acknowledged commit: 15 to 18", async () => {
  await withPair(source15, target18, async ({ url, targetUrl }) => {
    await using load = startAcknowledgedLoad([url, targetUrl]);
    await load.more(100);
    await prepare(url, targetUrl);
    for (const direction of ["run", "rollback", "run"] as const) {
      await load.more(200);
      const { pauseMs } = await move(url, targetUrl, direction);
      ok(pauseMs < settings.maxPauseMs);
      await load.more(200);
    }
    const outcome = await load.stop();
    await drain(targetUrl);
    deepStrictEqual(await checkAcknowledged(targetUrl, outcome), []);
    deepStrictEqual(await checkAcknowledged(url, outcome), []);
    ok(await compareRows(url, targetUrl) > 0);
  });
});

async function move(
  url: string,
  targetUrl: string,
  direction: "run" | "rollback",
): Promise<SwitchReport> {
  const source = await endpointOf(url, "source");
  const target = await endpointOf(targetUrl, "target");
  const [onSource, onTarget] = await Promise.all([source, target].map(async (endpoint) => {
    await using session = await openSession(endpoint);
    return (await readSide(session))!;
  }));
  strictEqual(
    phaseOf({ source: onSource, target: onTarget }),
    direction === "run" ? "prepared" : "switched",
  );
  const { forward, back, tables } = onSource!.details;
  const ways = { forward, back: back === null ? [] : [back] };
  const route: DatabaseRoute = direction === "run"
    ? {
      from: source,
      to: target,
      out: ways.forward,
      back: ways.back,
      tables,
      fromRecord: onSource!,
      toRecord: onTarget!,
    }
    : {
      from: target,
      to: source,
      out: ways.back,
      back: ways.forward,
      tables,
      fromRecord: onTarget!,
      toRecord: onSource!,
    };
  return await switchOver({ routes: [route], closed: [], opened: [] }, settings, {
    events: ignoreEvents,
    signal: new AbortController().signal,
  });
}

async function prepare(url: string, targetUrl: string): Promise<void> {
  await prepareDatabase({
    source: await endpointOf(url, "source"),
    target: await endpointOf(targetUrl, "target"),
    databases: [new URL(url).pathname.slice(1)],
    wayBack: { sourceFromTarget: await endpointOf(targetUrl, "target"), passfile: undefined },
    id: crypto.randomUUID(),
    now: new Date().toISOString(),
    signal: new AbortController().signal,
  });
}

async function withPair(
  source: Cluster,
  target: Cluster,
  use: (pair: { readonly url: string; readonly targetUrl: string }) => Promise<void>,
): Promise<void> {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, acknowledgedSchema);
    try {
      const targetUrl = target.url({ database: name });
      await runInit(url, targetUrl, { include: [name], map: { [name]: name }, sync: syncSettings });
      await use({ url, targetUrl });
    } finally {
      await exec(url, "ALTER SYSTEM RESET ALL").catch(() => {});
      await dropDatabase(target, name);
    }
  });
}
