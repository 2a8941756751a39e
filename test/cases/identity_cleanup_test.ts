/**
 * `cleanup` restores the replica identities changed by `init --replica-identity full` on both
 * sides, and nothing else.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { type Case, withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withRepeats } from "../support/long.ts";
import { exec, query } from "../support/sql.ts";

const source = await sharedCluster(15, { programs: "embedded" });
const target = await sharedCluster(18);
const servers = { source, target };
const file = "88-identity-full-cleanup.sql";

const more = `
  create table nothing (id int); alter table nothing replica identity nothing;
  create table "By Index" (id int not null, k int not null); create unique index "The Index" on "By Index" (k);
  alter table "By Index" replica identity using index "The Index";
  create table users_own (id int); alter table users_own replica identity full;
  create table p (id int) partition by range (id); create table "P 1" partition of p for values from (0) to (9);`;
const rewrite = (script: string) => `${script};${more}`;

async function identities(it: Case, side: "source" | "target"): Promise<Record<string, string>> {
  const rows = await it.ask<{ name: string; identity: string }>(
    side,
    `SELECT c.relname AS name, c.relreplident::text AS identity FROM pg_class AS c
       JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
      ORDER BY c.relname COLLATE "C"`,
  );
  return Object.fromEntries(rows.map(({ name, identity }) => [name, identity]));
}

Deno.test("[88] every kind of identity is restored on both sides, and a second cleanup finds nothing", async () => {
  await withCase(file, { ...servers, rewrite }, async (it) => {
    const before = await identities(it, "source");
    await it.initWithSync();
    deepStrictEqual((await identities(it, "target"))["t"], "f");
    const { removed, failed } = await it.cleanup();
    deepStrictEqual(failed, []);
    deepStrictEqual(
      removed.filter(({ kind }) => kind === "replica-identity").map((
        { side, name },
      ) => [side, name])
        .sort(),
      [
        ...["source", "target"].flatMap((side) =>
          ['"P 1"', "nothing", "t"].map((name) => [side, name])
        ),
      ].sort(),
    );
    deepStrictEqual(await identities(it, "source"), before);
    deepStrictEqual(await identities(it, "target"), before);
    strictEqual((await it.verify()).verdict, "equal");
    deepStrictEqual((await it.cleanup()).items, []);
  });
});

Deno.test("[88] tables changed, renamed or dropped in the meantime are skipped or found", async () => {
  await withCase(file, { ...servers, rewrite }, async (it) => {
    await it.initWithSync();
    await it.ask("target", "ALTER TABLE nothing ADD PRIMARY KEY (id)");
    await it.ask("target", "ALTER TABLE nothing REPLICA IDENTITY USING INDEX nothing_pkey");
    await it.ask("source", 'ALTER TABLE t RENAME TO "T old"');
    await it.ask("source", "CREATE TABLE t (id int)");
    await it.ask("source", "ALTER TABLE t REPLICA IDENTITY FULL");
    await it.ask("target", 'DROP TABLE "P 1"');
    const { failed } = await it.cleanup();
    deepStrictEqual(failed, []);
    const onSource = await identities(it, "source");
    const onTarget = await identities(it, "target");
    deepStrictEqual([onSource["t"], onSource["T old"], onSource["nothing"]], ["f", "d", "n"]);
    deepStrictEqual([onTarget["t"], onTarget["nothing"], onTarget["users_own"]], ["d", "i", "f"]);
  });
});

Deno.test("[88] a target whose init ended before creating the subscription is restored too", async () => {
  await withCase(file, { ...servers, rewrite }, async (it) => {
    const before = await identities(it, "source");
    await it.initWithSync();
    const [subscription] = await it.ask<{ name: string }>(
      "target",
      "SELECT subname::text AS name FROM pg_subscription",
    );
    for (const change of ["DISABLE", "SET (slot_name = NONE)"]) {
      await it.ask("target", `ALTER SUBSCRIPTION "${subscription!.name}" ${change}`);
    }
    await it.ask("target", `DROP SUBSCRIPTION "${subscription!.name}"`);
    const { failed } = await it.cleanup();
    deepStrictEqual(failed, []);
    deepStrictEqual(await identities(it, "source"), before);
    deepStrictEqual(await identities(it, "target"), before);
  });
});

Deno.test("[88] a cleanup that fails on a locked target is completed by the next one", async () => {
  await withCase(file, servers, async (it) => {
    await it.initWithSync();
    const blocker = (await import("../support/sql.ts")).withSession;
    await blocker(it.targetUrl, async (session) => {
      await session.unsafe("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE").simple();
      const { failed } = await it.cleanup();
      deepStrictEqual(failed.map(({ item: { kind } }) => kind), ["subscription"]);
      await session.unsafe("ROLLBACK").simple();
    });
    strictEqual((await identities(it, "target"))["t"], "f");
    const { failed } = await it.cleanup();
    deepStrictEqual(failed, []);
    strictEqual((await identities(it, "target"))["t"], "d");
    strictEqual((await identities(it, "source"))["t"], "d");
  });
});

Deno.test("a non-superuser's publication cannot make a superuser's cleanup alter other tables", async () => {
  await withCase(file, { ...servers, rewrite }, async (it) => {
    await it.initWithSync();
    await it.ask(
      "source",
      `DO $$ DECLARE p name; BEGIN
         CREATE ROLE planter; EXECUTE format('GRANT CREATE ON DATABASE %I TO planter', current_database());
         FOR p IN SELECT pubname FROM pg_publication LOOP
           EXECUTE format('ALTER PUBLICATION %I OWNER TO planter', p);
         END LOOP; END $$`,
    );
    await it.cleanup();
    strictEqual((await identities(it, "source"))["t"], "f");
  });
});

const whole = await sharedCluster(12, { programs: "embedded" });
const publishers = `
  create schema s; create table s.u (id int, v text); insert into s.u values (1, 'a');
  create table pt (id int, v text) partition by list (id); create table pt1 partition of pt for values in (1);
  insert into pt values (1, 'a');`;

const left = (
  kept: readonly { readonly kind: string; readonly side?: string; readonly name: string }[],
) =>
  kept.filter(({ kind }) => kind === "replica-identity").map(({ side, name }) => `${side} ${name}`)
    .sort();

Deno.test("tables in other publications keep FULL on both sides, and are reported", async () => {
  await withCase(
    file,
    { ...servers, rewrite: (script) => `${script};${publishers}` },
    async (it) => {
      await it.initWithSync();
      const own =
        'CREATE PUBLICATION warehouse FOR TABLES IN SCHEMA s; CREATE PUBLICATION "Up" FOR TABLE pt';
      await it.ask("source", own);
      await it.ask("target", "CREATE PUBLICATION everything FOR ALL TABLES");
      const { failed, kept, removed } = await it.cleanup();
      deepStrictEqual(failed, []);
      deepStrictEqual(left(kept), [
        "source pt1",
        "source s.u",
        "target pt1",
        "target s.u",
        "target t",
      ]);
      match(kept.find(({ name, side }) => side === "source" && name === "pt1")!.reason, /"Up"/);
      deepStrictEqual(left(removed), ["source t"]);
      for (
        const statement of [
          "UPDATE s.u SET v = 'b'",
          "UPDATE pt SET v = 'b'",
          "UPDATE pt1 SET v = 'c'",
        ]
      ) {
        await it.ask("source", statement);
      }
      strictEqual((await identities(it, "source"))["t"], "d");
    },
  );
});

Deno.test("a table published FOR ALL TABLES keeps FULL on a source of version 12", async () => {
  await withCase(
    file,
    { source: whole, target, rewrite: (script) => `${script};${publishers}` },
    async (it) => {
      await it.initWithSync();
      await it.ask("source", "CREATE PUBLICATION everything FOR ALL TABLES");
      const { failed, kept } = await it.cleanup();
      deepStrictEqual(failed, []);
      deepStrictEqual(left(kept), ["source pt1", "source s.u", "source t"]);
      await it.ask("source", "UPDATE pt1 SET v = 'c'");
    },
  );
});

for (
  const { what, system, superuser, expected } of withRepeats(
    [
      {
        what: "an ordinary role's, of the right system",
        system: undefined,
        superuser: false,
        expected: "f",
      },
      { what: "a superuser's, of no system", system: "nowhere", superuser: true, expected: "f" },
      { what: "a superuser's", system: undefined, superuser: true, expected: "n" },
    ],
    [{ what: "an ordinary role's", system: "nowhere", superuser: false, expected: "f" }],
  )
) {
  Deno.test(`a publication's comment alone changes the target only if it is trusted: ${what}`, async () => {
    await withCase(file, servers, async (it) => {
      await it.init();
      const victim = `${it.name}_victim`;
      const victimUrl = target.url({ database: victim });
      await exec(target.url(), `CREATE DATABASE "${victim}"`);
      try {
        await exec(victimUrl, "CREATE TABLE accounts (id int)");
        await exec(victimUrl, "ALTER TABLE accounts REPLICA IDENTITY FULL");
        const [real] = await query<{ system: string }>(
          victimUrl,
          "SELECT system_identifier::text AS system FROM pg_control_system()",
        );
        const comment = JSON.stringify({
          version: 1,
          tool: "postgres-seren-replicator",
          hash: "0123456789abcdef",
          epoch: 1,
          source: { system: "x", database: it.name },
          target: { system: system ?? real!.system, database: victim },
          rules: "r",
          words: [],
          rulesNow: "2026-01-01T00:00:00Z",
          createdAt: "2026-01-01T00:00:00Z",
          changedIdentities: [{ schema: "public", name: "accounts", before: "n" }],
        });
        const role = `${it.name}_mallory`;
        await it.ask("source", "CREATE PUBLICATION seren_0123456789abcdef");
        await it.ask("source", `COMMENT ON PUBLICATION seren_0123456789abcdef IS '${comment}'`);
        if (!superuser) {
          await exec(it.sourceUrl, `CREATE ROLE "${role}"`);
          await exec(it.sourceUrl, `GRANT CREATE ON DATABASE "${it.name}" TO "${role}"`);
          await exec(it.sourceUrl, `ALTER PUBLICATION seren_0123456789abcdef OWNER TO "${role}"`);
        }
        const { failed, kept, removed } = await it.cleanup();
        deepStrictEqual(failed, []);
        deepStrictEqual(removed.filter(({ kind }) => kind === "publication").length, 1);
        const [table] = await query<{ identity: string }>(
          victimUrl,
          "SELECT relreplident::text AS identity FROM pg_class WHERE relname = 'accounts'",
        );
        strictEqual(table!.identity, expected);
        deepStrictEqual(left(kept), expected === "f" ? ["target accounts"] : []);
      } finally {
        await exec(target.url(), `DROP DATABASE "${victim}" WITH (FORCE)`);
        if (!superuser) {
          await exec(it.sourceUrl, "DROP PUBLICATION IF EXISTS seren_0123456789abcdef");
          await exec(it.sourceUrl, `DROP OWNED BY "${it.name}_mallory"`);
          await exec(it.sourceUrl, `DROP ROLE "${it.name}_mallory"`);
        }
      }
    });
  });
}
