/** A few rounds of `deno task test:faults`. */
import { ok } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import { FaultRounds } from "./rounds.ts";

const settings = { autovacuum: "off", max_connections: "60" };
const source = await sharedCluster(16, { settings });
const target = await sharedCluster(17, { settings });
const seed = Math.floor(Math.random() * 1e9);
const rounds = new FaultRounds({ source, target, seed });

for (const kind of ["point", "cut", "load"] as const) {
  Deno.test(`init survives ${kind} (seed ${seed})`, async () => {
    const { ok: survived, text } = await rounds.run(kind);
    ok(survived, text);
  });
}
