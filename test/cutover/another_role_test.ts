/** What `verify` and `status` show of a cutover, also to a role that cannot read its records. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { findWaiting } from "../../lib/commands/sync/cutover_phase.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { until } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";
import { runVerify } from "../support/verify.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

/** How many sessions a database of each side has had, once none is left. */
async function sessionsOf(database: string): Promise<readonly unknown[]> {
  const counts: unknown[] = [];
  for (const url of [source.url({}), target.url({})]) {
    await until(
      url,
      `SELECT count(*) = 0 AS ok FROM pg_stat_activity
        WHERE datname = '${database}' AND backend_type = 'client backend'`,
    );
    counts.push(
      ...await query(url, `SELECT sessions FROM pg_stat_database WHERE datname = '${database}'`),
    );
  }
  return counts;
}

Deno.test("a stream that a hidden cutover may have stopped gets no advice that would break it", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const role = `stranger_${pair.name}`;
    for (const url of [pair.url, pair.targetUrl]) {
      await exec(url, `CREATE ROLE ${role} LOGIN PASSWORD 'secret' IN ROLE pg_monitor`);
    }
    await switchCutover("run", pair);
    try {
      const endpoint = async (given: string, side: "source" | "target") => {
        const url = new URL(given);
        [url.username, url.password] = [role, "secret"];
        return await endpointOf(url.href, side);
      };
      const report = await executeStatus({
        ...pair.servers,
        source: await endpoint(pair.url, "source"),
        target: await endpoint(pair.targetUrl, "target"),
        sampleMs: 100,
        now: () => new Date(),
      }, quietRun);
      const advice = report.findings.filter(({ stream }) => stream !== null);
      ok(advice.length > 0);
      for (const { remedy } of advice) match(remedy, /may have stopped the stream on purpose/);
      ok(report.findings.some(({ id }) => id === "schema-hidden"));
      const servers = {
        source: await endpoint(pair.url, "source"),
        target: await endpoint(pair.targetUrl, "target"),
      };
      const remedy = 'connect as role "postgres", which prepared the cutover';
      const wait = (enabled: boolean) =>
        findWaiting([{ ...servers, streams: [{ applier: { enabled } }] } as never], {
          ...quietRun,
          followsOnly: true,
        });
      await rejects(wait(false), { remedy });
      strictEqual((await wait(true)).size, 0);
      await rejects(
        executeCleanup({
          ...servers,
          databases: pair.servers.databases,
          checkpoints: undefined,
          confirm: () => Promise.reject(new Error("cleanup has a plan")),
        }, quietRun),
        { remedy },
      );
    } finally {
      for (const url of [pair.url, pair.targetUrl]) {
        await exec(url, `BEGIN READ WRITE; DROP ROLE ${role}; COMMIT`);
      }
    }
  });
});

Deno.test("verify ignores the read-only default of a side that a cutover has closed", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    const { databases } = await runVerify(pair.url, pair.targetUrl);
    const settings = databases[0]!.sections.find(({ section }) => section === "settings");
    deepStrictEqual(
      [settings?.verdict, settings?.differences, settings?.notes.map(({ reason }) => reason)],
      ["equal", [], ["the cutover set it when it closed the source"]],
    );
  });
});

Deno.test("a role that cannot read the records is told which role owns them, and not to remove anything", async () => {
  await withCutoverPair({ source, target, applyFrom: "here" }, async (pair) => {
    const role = `stranger_${pair.name}`;
    await exec(
      pair.targetUrl,
      `CREATE ROLE ${role} LOGIN PASSWORD 'secret';
       CREATE SCHEMA seren_cutover; CREATE TABLE seren_cutover.side (id uuid)`,
    );
    try {
      const url = new URL(pair.targetUrl);
      [url.username, url.password] = [role, "secret"];
      const servers = { ...pair.servers, target: await endpointOf(url.href, "target") };
      const report = await executeStatus(
        { ...servers, sampleMs: 100, now: () => new Date() },
        quietRun,
      );
      strictEqual(report.databases[0]?.streams[0]?.state, "unknown");
      deepStrictEqual(report.findings.map(({ id }) => id), ["schema-hidden", "schema-hidden"]);
      for (const { remedy } of report.findings) match(remedy, /as role "postgres".*remove nothing/);
      ok(!JSON.stringify(report.findings).includes("cleanup"));
      const before = await sessionsOf(pair.name);
      const others = await executeStatus({
        source: await endpointOf(source.url({}), "source"),
        target: await endpointOf(target.url({}), "target"),
        databases: { include: ["another"], exclude: [] },
        sampleMs: 100,
        now: () => new Date(),
      }, quietRun);
      deepStrictEqual(others.databases, []);
      deepStrictEqual(await sessionsOf(pair.name), before);

      await exec(
        pair.targetUrl,
        `ALTER SCHEMA seren_cutover OWNER TO ${role}; ALTER TABLE seren_cutover.side OWNER TO ${role}`,
      );
      const cleanup = () =>
        executeCleanup({
          ...pair.servers,
          checkpoints: undefined,
          confirm: () => Promise.reject(new Error("cleanup has a plan")),
        }, quietRun);
      const refusals = async (expected: RegExp) => {
        for (const command of [() => prepareCutover(pair), cleanup]) {
          const error = await command().then(() => undefined, (problem) => problem);
          strictEqual(error.exitCode, 3, String(error));
          match(error.remedy, expected);
        }
      };
      // it may be that of a cutover or not; only in the first case must it stay
      await refusals(/^connect as role "stranger_.*DROP SCHEMA .*\(it keeps nothing closed\)$/);
      await exec(
        pair.targetUrl,
        `CREATE FUNCTION seren_cutover.refuse_write() RETURNS trigger LANGUAGE plpgsql AS
           $$BEGIN RETURN NULL; END$$;
         CREATE TRIGGER fence BEFORE INSERT ON ack FOR EACH STATEMENT
           EXECUTE FUNCTION seren_cutover.refuse_write()`,
      );
      await refusals(/^connect as role "stranger_.*do not drop the schema before you know who/);
      await exec(pair.targetUrl, "DROP SCHEMA seren_cutover CASCADE");
      for (
        const [script, reason] of [
          ["TABLE seren_cutover.note (a int)", "note is not part of a cutover"],
          ["TABLE seren_cutover.side (a int)", "side lacks the column changed_at"],
        ] as const
      ) {
        await exec(pair.targetUrl, `CREATE SCHEMA seren_cutover; CREATE ${script}`);
        await refusals(/^inspect it; .*as its owner or a superuser: DROP SCHEMA/);
        const error = await prepareCutover(pair).then(() => undefined, (problem) => problem);
        ok(error.details.includes(`seren_cutover.${reason}`), String(error.details));
        await exec(pair.targetUrl, "DROP SCHEMA seren_cutover CASCADE");
      }
    } finally {
      await exec(pair.targetUrl, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});
