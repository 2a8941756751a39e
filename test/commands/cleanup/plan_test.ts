import { strictEqual } from "node:assert/strict";
import type { ScopeComment } from "../../../lib/replication/internal.ts";
import type { SourceFindings } from "../../../lib/commands/cleanup/find.ts";
import { planCleanup } from "../../../lib/commands/cleanup/plan.ts";

const name = "seren_0123456789abcdef";

function findings(isTrusted: boolean): SourceFindings {
  const scopeComment: ScopeComment = {
    version: 1,
    tool: "postgres-seren-replicator",
    hash: "0123456789abcdef",
    epoch: 1,
    source: { system: "1", database: "a" },
    target: { system: "2", database: "b\nDROP TABLE accounts; \u2028--" },
    rules: "",
    words: [],
    rulesNow: "",
    createdAt: "",
    changedIdentities: [{ schema: "public", name: "accounts", before: "n" }],
  };
  const parts = { hash: "0123456789abcdef", epoch: 1 } as never;
  return {
    system: "1",
    slots: [{ name, parts, database: "a", active: false } as never],
    tableSyncSlots: [],
    cutovers: [],
    distrusted: [],
    publications: [
      {
        name,
        parts,
        database: "a",
        allTables: false,
        viaRoot: false,
        tables: 1,
        scopeComment,
        isTrusted,
      },
    ],
  };
}

const byHand = (isTrusted: boolean) =>
  planCleanup({
    source: findings(isTrusted),
    target: undefined,
    databases: { include: [], exclude: [] },
  }).byHand.target;

Deno.test("a name in a statement to run manually never starts a new line", () => {
  strictEqual(byHand(true)[0], '-- in database "b\ufffdDROP TABLE accounts; \ufffd--"');
});

Deno.test("another role's comment contributes no statements to run manually", () => {
  const restores = (isTrusted: boolean) =>
    byHand(isTrusted).filter((line) => line.includes("REPLICA IDENTITY")).length;
  strictEqual(restores(true), 1);
  strictEqual(restores(false), 0);
});
