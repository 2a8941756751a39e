import { ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Table, WorkFacts } from "../../../../lib/catalog/internal.ts";
import { planCopy } from "../../../../lib/copy/internal.ts";
import { usualCosts } from "../../../../lib/commands/init/predict/costs.ts";
import {
  type PredictedWork,
  type PredictOptions,
  predictSteps,
} from "../../../../lib/commands/init/predict/predict_steps.ts";
import {
  type FillWork,
  type Piece,
  simulateFill,
} from "../../../../lib/commands/init/predict/simulate_fill.ts";
import { planOptions } from "../../../support/copy.ts";

const piece = (name: string, ms: number): Piece => ({ table: { schema: "s", name }, ms });
const work = (more: Partial<FillWork>): FillWork => ({
  parts: [],
  builds: [],
  jobs: 2,
  indexJobs: 1,
  scaling: 1,
  ...more,
});

Deno.test("simulateFill() distributes parts over sessions, and starts a table's index builds after its last part", () => {
  const { rowsMs, allMs } = simulateFill(work({
    parts: [piece("a", 100), piece("a", 50), piece("b", 30)],
    builds: [piece("a", 40), piece("b", 10)],
  }));
  strictEqual(rowsMs, 100); // 100 in parallel with 50 + 30
  strictEqual(allMs, 140); // b's index is built meanwhile
});

Deno.test("simulateFill() reassigns sessions that have nothing left to copy to index builds", () => {
  const builds = [1, 2, 3].map(() => piece("a", 60));
  const parts = [piece("a", 10)];
  strictEqual(simulateFill(work({ parts, builds })).allMs, 70);
  strictEqual(simulateFill(work({ parts, builds, jobs: 1 })).allMs, 130);
});

Deno.test("simulateFill() slows concurrent sessions according to the scaling", () => {
  const parts = [piece("a", 100), piece("b", 100), piece("c", 100), piece("d", 100)];
  const rowsMs = (scaling: number) => simulateFill(work({ parts, jobs: 4, scaling })).rowsMs;
  strictEqual(rowsMs(1), 100);
  strictEqual(rowsMs(0.5), 200);
  strictEqual(rowsMs(0), 400);
});

Deno.test("simulateFill() takes at least as long as the longest piece, and at most as long as all in sequence", () => {
  const pieces = fc.array(
    fc.record({ name: fc.constantFrom("a", "b", "c", "d"), ms: fc.integer({ min: 0, max: 500 }) }),
    { maxLength: 30 },
  );
  fc.assert(fc.property(
    pieces,
    pieces,
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 8 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (parts, builds, jobs, indexJobs, scaling) => {
      const all = [...parts, ...builds].map(({ ms }) => ms);
      const { rowsMs, allMs } = simulateFill(work({
        parts: parts.map(({ name, ms }) => piece(name, ms)),
        builds: builds.map(({ name, ms }) => piece(name, ms)),
        ...{ jobs, indexJobs, scaling },
      }));
      const sum = all.reduce((total, ms) => total + ms, 0);
      ok(rowsMs <= allMs && allMs <= sum + 1e-6, `${allMs} of ${sum}`);
      ok(allMs >= Math.max(0, ...all) - 1e-6);
    },
  ));
});

const table = (name: string, megabytes: number): Table => ({
  schema: "public",
  name,
  oid: name.length,
  columns: [],
  bytes: megabytes * 1024 ** 2,
  toastBytes: 0,
  blocks: megabytes * 128,
  rowEstimate: undefined,
  isUnlogged: false,
  isPartition: false,
  partitionRoot: undefined,
  accessMethod: "heap",
  hasPrimaryKey: true,
  replicaIdentity: "primary-key",
  hasRowSecurity: false,
  forcesRowSecurity: false,
  extensionCondition: undefined,
});
const nothing: WorkFacts = {
  tables: [],
  indexes: [],
  foreignKeys: [],
  sequences: 0,
  roles: 1,
  materializedViews: 0,
  otherObjects: 0,
  largeObjectBytes: 0,
};
const how: PredictOptions = {
  costs: usualCosts,
  jobs: 2,
  indexJobs: 2,
  maxBytesPerSecond: undefined,
};

function predict(
  tables: readonly Table[],
  { facts = nothing, options = how, more = {} }: {
    readonly facts?: WorkFacts;
    readonly options?: PredictOptions;
    readonly more?: Partial<PredictedWork>;
  } = {},
): ReadonlyMap<string, number> {
  const parts = planCopy(
    tables,
    planOptions({ splitBytes: 64 * 1024 ** 2, jobs: options.jobs }),
  );
  const steps = predictSteps({
    database: "shop",
    parts,
    tables: tables.length,
    facts,
    resumed: false,
    statistics: { from: "analyze", carried: 0, analyzed: [] },
    largeObjects: 0,
    embeddedDump: false,
    ...more,
  }, options);
  return new Map(steps.map(({ step, ms }) => [step, ms]));
}

Deno.test("predictSteps() includes a cost per table, even for empty ones", () => {
  const few = predict([table("a", 1)]);
  const many = predict(Array.from({ length: 2_000 }, (_, n) => table(`t${n}`, 0)));
  for (const step of ["dump", "schema", "data"]) {
    ok((many.get(step) ?? 0) > (few.get(step) ?? Infinity) + 1_000, step);
  }
});

Deno.test("predictSteps() includes the cost of each index, most of which overlaps with copying rows", () => {
  const tables = [table("a", 50), table("b", 200)];
  const index = (name: string) => ({
    table: { schema: "public", name },
    bytes: 40 * 1024 ** 2,
    columns: undefined,
  });
  const of = (...names: readonly string[]) =>
    predict(tables, { facts: { ...nothing, indexes: names.map(index) } });
  const none = of();
  const early = of("a"); // its table is complete long before the other one
  const late = of("b");
  const total = (steps: ReadonlyMap<string, number>) =>
    (steps.get("data") ?? 0) + (steps.get("indexes") ?? 0);
  ok(total(early) > total(none));
  ok((late.get("indexes") ?? 0) > (early.get("indexes") ?? 0) + 500);
});

Deno.test("predictSteps() assumes that dead rows are read but not copied", () => {
  const bloated = table("a", 500);
  const facts = {
    ...nothing,
    tables: [{ table: { schema: "public", name: "a" }, liveBytes: 5 * 1024 ** 2 }],
  };
  ok((predict([bloated], { facts }).get("data") ?? 0) < (predict([bloated]).get("data") ?? 0) / 3);
});

Deno.test("predictSteps() considers --max-rate, and that a resumed run creates no schema", () => {
  const tables = [table("a", 500)];
  const paced = predict(tables, { options: { ...how, maxBytesPerSecond: 10 * 1024 ** 2 } });
  strictEqual(paced.get("data"), 50_000);
  const resumed = predict(tables, { more: { resumed: true } });
  ok(!resumed.has("schema") && !resumed.has("database") && resumed.has("data"));
});

Deno.test("predictSteps() includes foreign keys, sequences, large objects and the final steps", () => {
  const before = predict([table("a", 10)]);
  const after = predict([table("a", 10)], {
    facts: {
      ...nothing,
      foreignKeys: [{ table: { schema: "public", name: "a" }, bytes: 500 * 1024 ** 2 }],
      sequences: 1_000,
      otherObjects: 1_000,
      materializedViews: 50,
    },
    more: { largeObjects: 10_000 },
  });
  for (const step of ["foreign-keys", "sequences", "finish-schema", "analyze", "large-objects"]) {
    ok((after.get(step) ?? 0) > (before.get(step) ?? 0) + 40, step);
  }
});
