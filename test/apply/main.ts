/**
 * `deno task test:apply [--rounds N] [--seed N] [--source MAJOR] [--target MAJOR]`: kills the
 * applier, the servers and the network under load.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { PG_MAJORS } from "../../lib/cluster/mod.ts";
import { applyRounds } from "../support/apply_rounds.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    source: { type: "string", default: "15" },
    target: { type: "string", default: "18" },
  },
});
const major = (text: string) => {
  const found = PG_MAJORS.find((each) => String(each) === text);
  if (found === undefined) throw new RangeError(`no server of version ${text}`);
  return found;
};
const rounds = Number(values.rounds);
const committed = await applyRounds({
  source: major(values.source),
  target: major(values.target),
  rounds,
  seed: Number(values.seed),
  onRound: (round, what) => console.log(`round ${round} of ${rounds}: ${what}`),
});
console.log(`${rounds} rounds, ${committed} transactions: both sides are equal`);
