import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { tableKey } from "../../lib/core/internal.ts";
import { decideResume, isComplete, type ResumeFacts } from "../../lib/checkpoint/decide.ts";
import type { SnapshotGeneration, SourcePoint, TableRecord } from "../../lib/checkpoint/model.ts";
import { describeScopeDifference } from "../../lib/checkpoint/scope_difference.ts";
import { compareDumpStructure } from "../../lib/checkpoint/dump_structure.ts";

const point = (transactions: string): SourcePoint => ({
  serverStart: "1",
  databaseOid: 5,
  transactions,
});
const generation = (number: number, transactions: string): SnapshotGeneration => ({
  number,
  snapshot: "s",
  startedAt: "2026-01-01T00:00:00.000Z",
  point: point(transactions),
});
const name = (table: string) => ({ schema: "public", name: table });
const record = (table: string, inGeneration: number, done: readonly boolean[]): TableRecord => ({
  ...name(table),
  generation: inGeneration,
  parts: done.map((each, part) => ({ part, parts: done.length, done: each })),
});
const facts: ResumeFacts = {
  ledger: { generations: [generation(1, "1:1:")], tables: [] },
  tables: ["kept", "half", "fresh"].map(name),
  point: point("1:1:"),
  largeObjectsLeft: false,
  allowMixedSnapshots: false,
  sync: false,
};
const tables = [record("kept", 1, [true, true]), record("half", 1, [true, false])];

Deno.test("decideResume() resumes part by part from the same source point", () => {
  const decision = decideResume({ ...facts, ledger: { ...facts.ledger, tables } });
  ok(decision.kind === "go-on");
  const { begins, generation, kept, continued, emptied, fresh, moments } = decision;
  deepStrictEqual([begins, generation, moments], [false, 1, [1]]);
  deepStrictEqual([kept.length, continued.length, emptied.length, fresh.length], [1, 1, 0, 1]);
});

Deno.test("decideResume() refuses to mix snapshots unless allowed or replication follows", () => {
  const later = { ...facts, point: point("1:9:"), ledger: { ...facts.ledger, tables } };
  const refusal = decideResume(later);
  ok(refusal.kind === "refuse");
  match(refusal.details.join("\n"), /1 of 3 tables \(kept\)[^]*partly copied[^]*half/);
  for (const allowed of [{ allowMixedSnapshots: true }, { sync: true }]) {
    const decision = decideResume({ ...later, ...allowed });
    ok(decision.kind === "go-on");
    deepStrictEqual([decision.begins, decision.generation, decision.moments], [true, 2, [1, 2]]);
    deepStrictEqual(decision.emptied, [name("half")]);
    deepStrictEqual(decision.continued, []);
  }
});

Deno.test("decideResume() mixes nothing when nothing is kept or nothing is left", () => {
  const none = decideResume({
    ...facts,
    point: point("2:2:"),
    ledger: { ...facts.ledger, tables: [record("half", 1, [true, false])] },
  });
  ok(none.kind === "go-on" && none.begins && none.asOfSnapshot);
  const all = decideResume({
    ...facts,
    point: undefined,
    tables: [name("kept")],
    ledger: { ...facts.ledger, tables: [record("kept", 1, [true])] },
  });
  ok(all.kind === "go-on" && !all.begins && !all.asOfSnapshot);
  const objects = decideResume({
    ...facts,
    point: undefined,
    tables: [name("kept")],
    largeObjectsLeft: true,
    ledger: { ...facts.ledger, tables: [record("kept", 1, [true])] },
  });
  strictEqual(objects.kind, "refuse");
});

Deno.test("decideResume() copies every table once, and no table from two snapshots", () => {
  const someTable = fc.record({
    generation: fc.integer({ min: 1, max: 3 }),
    done: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
    recorded: fc.boolean(),
  });
  fc.assert(fc.property(
    fc.array(someTable, { maxLength: 12 }),
    fc.integer({ min: 0, max: 3 }),
    fc.boolean(),
    fc.boolean(),
    (some, generations, same, allowMixedSnapshots) => {
      const all = Array.from(
        { length: generations },
        (_, index) => generation(index + 1, `${index}`),
      );
      const records = some.flatMap(({ generation, done, recorded }, index) =>
        recorded && generation <= generations ? [record(`t${index}`, generation, done)] : []
      );
      const expected = some.map((_, index) => name(`t${index}`));
      const decision = decideResume({
        ...facts,
        tables: expected,
        ledger: { generations: all, tables: records },
        point: point(same && generations > 0 ? `${generations - 1}` : "other"),
        allowMixedSnapshots,
      });
      if (decision.kind === "refuse") {
        ok(!allowMixedSnapshots && !same && records.some(isComplete));
        return;
      }
      const { kept, continued, emptied, fresh, begins } = decision;
      const places = [...kept, ...continued, ...emptied, ...fresh].map((table) => tableKey(table));
      deepStrictEqual(places.toSorted(), expected.map(tableKey).toSorted());
      ok(kept.every(isComplete));
      // parts of a table are from one snapshot
      for (const table of continued) {
        ok(!begins && same && table.generation === decision.generation);
      }
    },
  ));
});

Deno.test("describeScopeDifference() describes what differs from the first run", () => {
  const scope = { databases: { app: "app" }, fingerprint: "a", now: "n", sync: false };
  const other = { databases: { app: "shop", web: "web" }, fingerprint: "b", now: "m", sync: true };
  deepStrictEqual(describeScopeDifference({ scope }, { scope: { ...scope, now: "later" } }), []);
  deepStrictEqual(
    describeScopeDifference(
      { scope, decisions: { "analytics.orders": "left out", "public.t": "copied" } },
      {
        scope: other,
        decisions: { "analytics.orders": "copied", "public.t": "filtered by (i > 1)" },
      },
    ),
    [
      "the first run was without --enable-sync",
      "database app was copied as app by the first run, not as shop",
      "database web was not part of the first run",
      "analytics.orders was not part of the first run",
      "public.t was copied in the first run, and would now be filtered by (i > 1)",
    ],
  );
});

Deno.test("compareDumpStructure() finds objects that differ on the target, not new or uncreated ones", () => {
  const recorded = new Map([
    ["1", "TABLE public.a"],
    ["2", "TABLE public.b"],
    ["3", "VIEW public.v"],
    ["4", "FUNCTION public.f(integer)"],
    ["5", "FUNCTION public.gone()"],
  ]);
  const now = [
    { digest: "1", object: "TABLE public.a" },
    { digest: "20", object: "TABLE public.b" },
    { digest: "30", object: "VIEW public.v" },
    { digest: "40", object: "FUNCTION public.f(integer)" },
    { digest: "6", object: "TABLE public.new" },
  ];
  const done = new Set(["1", "2", "4", "5"]);
  deepStrictEqual(compareDumpStructure({ recorded, now, done }), {
    changed: ["TABLE public.b", "FUNCTION public.gone()"],
    replaceable: new Set(["FUNCTION public.f(integer)"]),
  });
});
