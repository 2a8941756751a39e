import {
  deepStrictEqual as assertEquals,
  match as assertMatch,
  notStrictEqual as assertNotEquals,
  ok as assert,
} from "node:assert/strict";
import { noTableRules, readRuleFlags, type TableRules } from "../../../lib/rules/internal.ts";
import {
  describeScope,
  parseComment,
  parseReplicationName,
  printComment,
  replicationNames,
  type ReplicationScope,
  restoreIdentity,
  scopeDifferences,
  scopeHash,
} from "../../../lib/replication/internal.ts";

const plain: ReplicationScope = {
  source: { system: "7000000000000000001", database: "Ünï cødé" },
  target: { system: "7000000000000000002", database: "shop" },
  rules: noTableRules,
};

function rules(flags: Partial<Parameters<typeof readRuleFlags>[0]>, now = "2026-01-01T00:00:00Z") {
  const { rules, problems } = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: [],
    tableFilters: [],
    timeFilters: [],
    ...flags,
  });
  assertEquals(problems, []);
  return { ...rules, now } as TableRules;
}

Deno.test("names are valid slot names whatever the databases' names, and can be parsed", async () => {
  const hash = await scopeHash(plain);
  for (const epoch of [1, 2, 17]) {
    const { slot, publication, subscription } = replicationNames({ hash, epoch });
    assertMatch(slot, /^[a-z0-9_]{1,63}$/);
    assertEquals([publication, subscription], [slot, slot]);
    assertEquals(parseReplicationName(slot), { hash, epoch });
  }
  for (
    const other of ["seren_", "seren_abc", `seren_${hash}_e1`, `seren_${hash}_e0`, "pg_1_sync"]
  ) {
    assertEquals(parseReplicationName(other), undefined, other);
  }
});

Deno.test("the hash of a scope depends on servers, databases and rules, not on the time of a run", async () => {
  const filtered = { ...plain, rules: rules({ timeFilters: ["events:at:6 months"] }) };
  const later = {
    ...plain,
    rules: rules({ timeFilters: ["events:at:6 months"] }, "2027-01-01T00:00:00Z"),
  };
  assertEquals(await scopeHash(filtered), await scopeHash(later));
  const others: ReplicationScope[] = [
    filtered,
    { ...plain, source: { ...plain.source, system: "1" } },
    { ...plain, target: { ...plain.target, system: "1" } },
    { ...plain, target: { ...plain.target, database: "shop2" } },
  ];
  for (const other of others) assertNotEquals(await scopeHash(other), await scopeHash(plain));
});

Deno.test("rules of other databases of a run do not change the scope of this one", async () => {
  const scope = { ...plain, source: { ...plain.source, database: "app" } };
  const alone = { ...scope, rules: rules({ excludeTables: ["app.audit"] }) };
  const together = { ...scope, rules: rules({ excludeTables: ["app.audit", "crm.log"] }) };
  assertEquals(await scopeHash(alone), await scopeHash(together));
});

Deno.test("a scope comment survives in the catalog and contains no predicate", async () => {
  const scope = {
    ...plain,
    rules: rules({ tableFilters: ["events:secret = 'x'"], schemaOnlyTables: ["audit"] }),
  };
  const scopeComment = await describeScope(scope, {
    epoch: 1,
    createdAt: "2026-01-01T00:00:00Z",
    changedIdentities: [{ schema: "public", name: "log", before: "n" }],
  });
  const text = printComment(scopeComment);
  assertEquals(parseComment(text), scopeComment);
  assert(!text.includes("secret"));
  for (const other of [null, "", "{", "{}", "our shop", '{"version":2}']) {
    assertEquals(parseComment(other), undefined, String(other));
  }
  const bare = await describeScope(plain, { ...scopeComment, epoch: 1 });
  assertEquals(scopeDifferences({ wanted: bare, existing: bare }), []);
  const found = scopeDifferences({ wanted: bare, existing: scopeComment });
  assertEquals(found.length, 2);
  assertMatch(found.join("\n"), /audit: structure only/);
});

Deno.test("restoreIdentity() restores the previous identity", () => {
  const table = { schema: "S p", name: 'q"t' };
  assertEquals(
    [
      restoreIdentity({ ...table, before: "d" }),
      restoreIdentity({ ...table, before: "n" }),
      restoreIdentity({ ...table, before: "i", index: "by x" }),
    ],
    [
      'ALTER TABLE "S p"."q""t" REPLICA IDENTITY DEFAULT',
      'ALTER TABLE "S p"."q""t" REPLICA IDENTITY NOTHING',
      'ALTER TABLE "S p"."q""t" REPLICA IDENTITY USING INDEX "by x"',
    ],
  );
});
