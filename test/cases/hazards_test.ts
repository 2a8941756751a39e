/**
 * Hazards that would stop replication later are reported before the copy, and their remedies work.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { Check } from "../../lib/commands/shared/validation_report.ts";
import { syncSettings } from "../support/sync.ts";
import { type Case, withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { rowsVerdict } from "../support/verify.ts";

const source = await sharedCluster(15, { programs: "embedded" });
const target = await sharedCluster(18);
const servers = { source, target };

/** The check of `validate` with a given id. */
async function check(it: Case, id: string, identity: "fail" | "full" = "full"): Promise<Check> {
  const { checks } = await it.validate({ forSync: true, identity });
  const found = checks.find((each) => each.id === id && each.status !== "pass");
  if (found === undefined) throw new Error(`validate does not report ${id}`);
  return found;
}

/** The statements in a message to run on the source. */
async function run(it: Case, statements: RegExp, text = ""): Promise<void> {
  const found = text.match(statements) ?? [];
  if (found.length === 0) throw new Error(`no statement in: ${text}`);
  for (const statement of found) await it.ask("source", statement);
}

async function follows(it: Case): Promise<void> {
  await it.initWithSync();
  await it.stream();
  strictEqual(await it.drain(), "drained");
  // sequences are not replicated, since cutover sets them
  deepStrictEqual((await it.differences()).filter(({ kind }) => kind !== "sequence value"), []);
  strictEqual(rowsVerdict(await it.verify()), "equal");
}

/** Adds statements before the changes. */
const withSetup = (sql: string) => (script: string) =>
  script.replace("-- STREAM\n", `${sql}\n-- STREAM\n`);

Deno.test("[30] validate and init reject a primary key with a generated column", async () => {
  await withCase("30-sync-generated-key.sql", servers, async (it) => {
    for (const identity of ["fail", "full"] as const) {
      const { status, finding } = await check(it, "replica-identity", identity);
      strictEqual(status, "fail");
      match(finding, /docs: .* generated column norm/);
    }
    let refused: Error | undefined;
    await it.initWithSync().catch((error) => refused = error);
    match(refused?.message ?? "", /nothing was changed/);
    const [left] = await it.ask<{ n: number }>(
      "source",
      "SELECT count(*)::int AS n FROM pg_publication",
    );
    strictEqual(left?.n, 0);
  });
});

Deno.test("[30] another unique index is suggested as replica identity, and works", async () => {
  const rewrite = withSetup(
    `ALTER TABLE docs ADD COLUMN "K 1" int GENERATED ALWAYS AS IDENTITY;
     CREATE UNIQUE INDEX "Docs K" ON docs ("K 1") INCLUDE (norm);`,
  );
  await withCase("30-sync-generated-key.sql", { ...servers, rewrite }, async (it) => {
    const { fix } = await check(it, "replica-identity");
    await run(it, /ALTER TABLE "public"\."docs" REPLICA IDENTITY USING INDEX "Docs K";/, fix);
    await follows(it);
  });
});

Deno.test("[31] tables with REPLICA IDENTITY FULL are reported if equal values may differ", async () => {
  await withCase("31-sync-full-generated.sql", servers, async (it) => {
    const { status, finding } = await check(it, "ambiguous-rows");
    strictEqual(status, "warn");
    match(finding, /docs \(f double precision, n numeric\)/);
    const [query] = /SELECT t FROM .*? > 1;/.exec((await check(it, "ambiguous-rows")).fix ?? "") ??
      [];
    strictEqual((await it.ask("source", query ?? "")).length, 1);
  });
});

Deno.test("[58] nondeterministic collations are reported, except in keys", async () => {
  const rewrite = withSetup(`
    CREATE TABLE inside (a text[] COLLATE ci, b jsonb, c numrange, d text, e bpchar); ALTER TABLE inside REPLICA IDENTITY FULL;
    CREATE TABLE exact (a text, b int, c char(3), d timestamptz[], e uuid); ALTER TABLE exact REPLICA IDENTITY FULL;`);
  await withCase("58-icu-nondeterministic.sql", { ...servers, rewrite }, async (it) => {
    const { finding } = await check(it, "ambiguous-rows");
    match(
      finding,
      /: full_id \(name text\), inside \(a text\[\], b jsonb, c numrange, e bpchar\)$/,
    );
  });
});

Deno.test("[32] triggers that fire for replicated rows are reported; the remedy works", async () => {
  const rewrite = withSetup(
    `CREATE TRIGGER "Only Here" AFTER INSERT ON acc FOR EACH ROW EXECUTE FUNCTION log_it();
     ALTER TABLE acc ENABLE REPLICA TRIGGER "Only Here";`,
  );
  await withCase("32-sync-always-trigger.sql", { ...servers, rewrite }, async (it) => {
    const { status, finding, fix } = await check(it, "always-triggers");
    strictEqual(status, "warn");
    match(
      finding,
      /acc \(Only Here: ENABLE REPLICA, count_it: ENABLE ALWAYS, log_it: ENABLE ALWAYS\)/,
    );
    await run(it, /ALTER TABLE [^;]*;/g, fix);
    await follows(it);
  });
});

Deno.test("[33] a TRUNCATE that the target would reject is reported; the remedy works", async () => {
  await withCase("33-sync-truncate-unlogged-child.sql", servers, async (it) => {
    const { status, finding, fix } = await check(it, "truncate-reach");
    strictEqual(status, "warn");
    match(finding, /cache \(cache_id_fkey\) references parent/);
    await run(it, /ALTER TABLE [^;]* SET LOGGED;/g, fix);
    await follows(it);
  });
});

Deno.test("[33] dropping a foreign key on the target lets a blocked TRUNCATE proceed", async () => {
  await withCase("33-sync-truncate-unlogged-child.sql", servers, async (it) => {
    const { plan } = await it.initWithSync();
    const warning = plan.warnings.find((each) => each.includes("TRUNCATE")) ?? "";
    await it.stream();
    strictEqual(await it.drain(), "stuck");
    const [drop = ""] = /ALTER TABLE [^;]* DROP CONSTRAINT [^;]*;/.exec(warning) ?? [];
    await it.ask("target", drop);
    strictEqual(await it.drain(), "drained");
    deepStrictEqual(await it.ask("target", "SELECT * FROM parent"), [{ id: 77 }]);
  });
});

Deno.test("[42] a NOT VALID domain constraint is reported with the violating rows", async () => {
  await withCase("42-sync-domain-not-valid.sql", servers, async (it) => {
    const { status, finding, fix = "" } = await check(it, "unvalidated-domains");
    strictEqual(status, "warn");
    match(finding, /t\.p \(pos, positive\)/);
    const [rows = ""] = /SELECT t\.\* .*;/.exec(fix) ?? [];
    deepStrictEqual(await it.ask("source", rows), [{ id: 1, p: -1, other: "a" }]);
    await it.ask("source", "UPDATE t SET p = 1 WHERE id = 1");
    await run(it, /ALTER DOMAIN [^;]*;/, fix);
    await follows(it);
  });
});

Deno.test("[42] a NOT VALID table check is not a hazard, since UPDATE fails on the source", async () => {
  const rewrite = (script: string) =>
    script.replace(
      "ALTER DOMAIN pos ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID",
      "ALTER TABLE t ADD CONSTRAINT positive CHECK (p > 0) NOT VALID",
    );
  await withCase("42-sync-domain-not-valid.sql", { ...servers, rewrite }, async (it) => {
    const { checks } = await it.validate({ forSync: true });
    deepStrictEqual(checks.filter(({ id }) => id === "unvalidated-domains"), []);
  });
});

Deno.test("forced row security and missing owner privileges are rejected since version 16", async () => {
  const rewrite = withSetup(
    `CREATE ROLE "Own 1"; ALTER TABLE t OWNER TO "Own 1"; REVOKE DELETE ON t FROM "Own 1";
     CREATE TABLE f (id int PRIMARY KEY); ALTER TABLE f OWNER TO "Own 1";
     ALTER TABLE f ENABLE ROW LEVEL SECURITY; ALTER TABLE f FORCE ROW LEVEL SECURITY;
     ALTER DOMAIN pos DROP CONSTRAINT positive;`,
  );
  await withCase("42-sync-domain-not-valid.sql", { ...servers, rewrite }, async (it) => {
    const forced = await check(it, "forced-row-security");
    const lacking = await check(it, "owner-privileges");
    deepStrictEqual([forced.status, lacking.status], ["fail", "fail"]);
    // the tool acts as the role of the target, a superuser
    const { checks } = await it.validate({
      forSync: true,
      identity: "full",
      apply: { ...syncSettings, applyFrom: "here" },
    });
    const ofOwners = checks.filter(({ id, status }) =>
      status === "fail" && /forced-row-security|owner-privileges/.test(id)
    );
    deepStrictEqual(ofOwners, []);
    match(lacking.finding, /t \(Own 1: DELETE\)/);
    await run(it, /ALTER TABLE [^;]* NO FORCE ROW LEVEL SECURITY;/, forced.fix);
    await run(it, /GRANT [^;]*;/, lacking.fix);
    await follows(it);
  });
});

Deno.test("[42] sync reports hazards of a running stream", async () => {
  await withCase("42-sync-domain-not-valid.sql", servers, async (it) => {
    await it.initWithSync();
    const { report: { warnings } } = await it.sync();
    match(warnings.map(({ message }) => message).join("\n"), /t\.p \(pos, positive\)/);
  });
});
