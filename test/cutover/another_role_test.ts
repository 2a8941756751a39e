/** What `verify` and `status` show of a cutover, also to a role that cannot read its records. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { exec } from "../support/sql.ts";
import { runVerify } from "../support/verify.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

Deno.test("the read-only default of the side that a cutover has closed is no difference", async () => {
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

Deno.test("a role that cannot read the records is told whose they are, and not to remove anything", async () => {
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
      const others = await executeStatus({
        ...servers,
        databases: { include: ["another"], exclude: [] },
        sampleMs: 100,
        now: () => new Date(),
      }, quietRun);
      deepStrictEqual(others.databases, []);

      await exec(
        pair.targetUrl,
        `ALTER SCHEMA seren_cutover OWNER TO ${role}; ALTER TABLE seren_cutover.side OWNER TO ${role}`,
      );
      const error = await prepareCutover(pair).then(() => undefined, (problem) => problem);
      match(error.remedy, /^connect as role "stranger_.*do not drop the schema/);
    } finally {
      await exec(pair.targetUrl, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});
