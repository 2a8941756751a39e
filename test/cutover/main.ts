/**
 * Interrupts cutovers at every step with every kind of fault, repeats them until they succeed, and
 * counts every acknowledged commit on both sides.
 *
 * deno task test:cutover [--rounds N] [--databases N] [--seed S] [--kind
 * tool|random|source|target|both|cut|drop|stop|backend|none] [--point "begin fence 1"] [--pair
 * 15:18] [--fence sessions] [--logs FILE]
 *
 * With --fence sessions, the source (16 or later) is closed as a role without ownership of the
 * tables closes it.
 *
 * With --matrix [name …]: switches between many versions, without faults; see matrix.ts.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type PgMajor, startCluster } from "../../lib/cluster/mod.ts";
import { matrixRounds, runMatrix } from "./matrix.ts";
import {
  type CutoverFault,
  cutoverFaults,
  cutoverPoints,
  KillRounds,
  sessionPoints,
  severalPoints,
} from "./kill_rounds.ts";

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "25" },
    databases: { type: "string", default: "1" },
    seed: { type: "string" },
    kind: { type: "string", multiple: true },
    point: { type: "string", multiple: true },
    pair: { type: "string", multiple: true },
    fence: { type: "string", default: "triggers" },
    logs: { type: "string" },
    matrix: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(
    `deno task test:cutover [--rounds N] [--databases N] [--seed S] [--kind K] [--point P] [--pair 15:18] [--fence sessions] [--logs FILE]
deno task test:cutover --matrix [NAME …]
kinds: ${cutoverFaults.join(", ")}
points: ${[...cutoverPoints, ...severalPoints, ...sessionPoints].join(", ")}
names: ${matrixRounds.join(", ")}`,
  );
  Deno.exit();
}
if (values.matrix) {
  Deno.exit(await runMatrix(positionals.length > 0 ? positionals : matrixRounds) > 0 ? 1 : 0);
}
const kinds = (values.kind ?? cutoverFaults) as CutoverFault[];
const databases = Number(values.databases);
const fence = values.fence === "sessions" ? "sessions" : "triggers";
const points: readonly string[] = values.point ?? [
  ...cutoverPoints,
  ...(databases > 1 ? severalPoints : []),
  ...(fence === "sessions" ? sessionPoints : []),
];
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
console.log(`seed ${seed}`);

const pairs = values.pair ?? (fence === "sessions" ? ["16:18", "16:16"] : ["15:18", "15:15"]);
// a subscription of a role without superuser must authenticate with a password
const password = fence === "sessions" ? { password: "secret" } : {};

let failures = 0;
let done = 0;
for (const [at, pair] of pairs.entries()) {
  const [from, to] = pair.split(":").map(Number) as PgMajor[];
  // a killed server must not lose what it has acknowledged
  const settings = { synchronous_commit: "on", wal_writer_delay: "2s" };
  await using source = await startCluster({ major: from!, settings, ...password });
  await using other = from === to
    ? undefined
    : await startCluster({ major: to!, settings, ...password });
  const start = () =>
    KillRounds.start({
      source,
      target: other ?? source,
      seed: seed + at * 1_000 + failures,
      databases,
      fence,
      ...(values.logs === undefined ? {} : {
        log: (lines) =>
          Deno.writeTextFileSync(values.logs!, `${lines.join("\n")}\n======\n`, { append: true }),
      }),
    });
  let rounds = await start();
  for (let round = 0; round < Number(values.rounds); round++) {
    const kind = kinds[(round + Math.floor(round / kinds.length)) % kinds.length]!;
    const point = points[(round * 7) % points.length]!;
    const began = performance.now();
    const { ok, text } = await rounds.run(kind, point);
    console.log(
      `${pair} ${String(++done).padStart(4)} ${ok ? "ok  " : "FAIL"} ${kind.padEnd(8)} ${text} ${
        Math.round(performance.now() - began)
      } ms`,
    );
    if (ok) continue;
    failures++;
    await rounds[Symbol.asyncDispose]();
    rounds = await start();
  }
  await rounds[Symbol.asyncDispose]();
}
console.log(`${done} rounds, ${failures} failed`);
if (failures > 0) Deno.exitCode = 1;
