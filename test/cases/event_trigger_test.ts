/** Cases about event triggers: the tool's own objects do not fire them on either side. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import type { Case } from "../support/case.ts";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { endpointOf } from "../support/init.ts";
import { withRepeats } from "../support/long.ts";
import { exec } from "../support/sql.ts";

const file = "57-event-trigger-audit-ordinary.sql";

/** Runs a complete replication, which must leave no trace in the audit log of either side. */
async function replicateAndCleanUp(it: Case): Promise<void> {
  await it.initWithSync();
  await it.stream();
  strictEqual(await it.drain(), "drained");
  deepStrictEqual(await it.differences(), []);
  await it.sync();
  await it.cleanup();
  deepStrictEqual(await it.differences(), []);
  for (const side of ["source", "target"] as const) {
    deepStrictEqual(
      await it.ask(
        side,
        "SELECT tag, what FROM public.ddl_log WHERE what ~ 'seren' OR tag ~* 'publication|subscription'",
      ),
      [],
    );
  }
}

const older = [await sharedCluster(12), await sharedCluster(14)] as const;
const newer = [await sharedCluster(15), await sharedCluster(18)] as const;

/**
 * Modes of event triggers, with a guard that rejects everything except the audit's own statements.
 */
const modes = {
  "ordinary event triggers": "",
  "event triggers ENABLE ALWAYS": `
    ALTER EVENT TRIGGER a_log ENABLE ALWAYS;
    ALTER EVENT TRIGGER b_log ENABLE ALWAYS;`,
  "rejecting guards": `
    CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % here', tg_tag; END $$;
    CREATE EVENT TRIGGER "Guard ""1" ON ddl_command_start EXECUTE FUNCTION refuse();
    CREATE EVENT TRIGGER c_guard ON sql_drop EXECUTE FUNCTION refuse();`,
} as const;

const runs = withRepeats<readonly [keyof typeof modes, readonly [Cluster, Cluster]]>(
  [
    ["event triggers ENABLE ALWAYS", older],
    ["event triggers ENABLE ALWAYS", newer],
    ["rejecting guards", newer],
  ],
  [
    ["rejecting guards", older],
    ["ordinary event triggers", older],
    ["ordinary event triggers", newer],
  ],
);

for (const [label, [source, target]] of runs) {
  const more = modes[label];
  Deno.test(`[57] ${label} do not fire for the tool's own objects, ${source.major} to ${target.major}`, async () => {
    const rewrite = (script: string) => script.replace("-- STREAM", () => `${more}\n-- STREAM`);
    await withCase(file, { source, target, rewrite }, async (it) => {
      const before = await it.ask("source", "SELECT * FROM public.ddl_log ORDER BY n");
      await replicateAndCleanUp(it);
      deepStrictEqual(await it.ask("source", "SELECT * FROM public.ddl_log ORDER BY n"), before);
      deepStrictEqual(
        await it.ask("target", "SELECT evtname, evtenabled FROM pg_event_trigger ORDER BY 1"),
        await it.ask("source", "SELECT evtname, evtenabled FROM pg_event_trigger ORDER BY 1"),
      );
    });
  });
}

Deno.test("[57] validate reports event triggers that a non-superuser cannot suppress", async () => {
  const [source, target] = [await sharedCluster(15), await sharedCluster(18)];
  await withCase(file, { source, target }, async (it) => {
    await exec(
      source.url(),
      `CREATE ROLE "h57 mover" LOGIN REPLICATION; GRANT CREATE ON DATABASE h57 TO "h57 mover"`,
    );
    const report = await it.validate({
      source: await endpointOf(source.url({ database: it.name, user: "h57 mover" }), "source"),
      forSync: true,
      identity: "full",
    });
    const check = report.checks.find(({ id, side }) =>
      id === "own-event-triggers" && side === "source"
    );
    strictEqual(check?.status, "warn");
    match(check.finding, /a_log \(ddl_command_end, public\.log_ddl\)/);
    match(check.fix ?? "", /GRANT SET ON PARAMETER session_replication_role TO "h57 mover"/);
    await exec(source.url(), `GRANT SET ON PARAMETER session_replication_role TO "h57 mover"`);
    const granted = await it.validate({
      source: await endpointOf(source.url({ database: it.name, user: "h57 mover" }), "source"),
      forSync: true,
      identity: "full",
    });
    strictEqual(
      granted.checks.find(({ id, side }) => id === "own-event-triggers" && side === "source")
        ?.status,
      "pass",
    );
  });
});
