/**
 * Breaks `init` in every way there is, runs it again until it succeeds, and compares both sides in plain SQL.
 *
 * deno task test:faults [--rounds N] [--seed S] [--kind tool|point|source|target|backend|cut|stall|disk|state|load]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { startCluster } from "../../lib/cluster/mod.ts";
import { type FaultKind, faultKinds, FaultRounds } from "./rounds.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    rounds: { type: "string", default: "10" },
    seed: { type: "string" },
    kind: { type: "string", multiple: true },
  },
});
const kinds = (values.kind ?? faultKinds) as FaultKind[];
const unknown = kinds.filter((kind) => !faultKinds.includes(kind));
if (unknown.length > 0) throw new Error(`${unknown} is none of ${faultKinds.join(", ")}`);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
console.log(`seed ${seed}`);

const settings = { autovacuum: "off", max_connections: "60" };
await using source = await startCluster({ major: 16, settings });
await using target = await startCluster({ major: 17, settings });
const rounds = new FaultRounds({ source, target, seed });
let failures = 0;
for (let round = 0; round < Number(values.rounds); round++) {
  const kind = kinds[round % kinds.length]!;
  const { ok, text } = await rounds.run(kind);
  if (!ok) failures++;
  console.log(`${String(round + 1).padStart(4)} ${kind.padEnd(8)} ${text}`);
}
console.log(`${values.rounds} rounds, ${failures} failed\n${rounds.summary()}`);
if (failures > 0) Deno.exitCode = 1;
