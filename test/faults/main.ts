/**
 * Interrupts `init` with every kind of fault, reruns it until it succeeds, and compares both sides
 * in plain SQL.
 *
 * deno task test:faults [--rounds N] [--seed S] [--kind
 * tool|point|source|target|backend|cut|stall|disk|state|load] [--shape
 * split|whole|text|filter|several|old] [--logs FOLDER]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { startCluster } from "../../lib/cluster/mod.ts";
import { type FaultKind, faultKinds, FaultRounds, type FaultShape, faultShapes } from "./rounds.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    rounds: { type: "string", default: "10" },
    seed: { type: "string" },
    kind: { type: "string", multiple: true },
    shape: { type: "string", multiple: true },
    logs: { type: "string" },
  },
});
const kinds = (values.kind ?? faultKinds) as FaultKind[];
const shapes = (values.shape ?? faultShapes) as FaultShape[];
const unknown = [
  ...kinds.filter((kind) => !faultKinds.includes(kind)),
  ...shapes.filter((shape) => !faultShapes.includes(shape)),
];
if (unknown.length > 0) {
  throw new Error(`${unknown} must be one of ${[...faultKinds, ...faultShapes].join(", ")}`);
}
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
console.log(`seed ${seed}`);

const settings = { autovacuum: "off", max_connections: "60" };
await using source = await startCluster({ major: 16, settings });
await using target = await startCluster({ major: 17, settings });
const rounds = new FaultRounds({
  source,
  target,
  seed,
  shapes,
  ...(values.logs === undefined ? {} : { logs: values.logs }),
});
let failures = 0;
for (let round = 0; round < Number(values.rounds); round++) {
  const kind = kinds[round % kinds.length]!;
  const { ok, text } = await rounds.run(kind);
  if (!ok) failures++;
  console.log(`${String(round + 1).padStart(4)} ${kind.padEnd(8)} ${text}`);
}
console.log(`${values.rounds} rounds, ${failures} failed\n${rounds.summary()}`);
if (failures > 0) Deno.exitCode = 1;
