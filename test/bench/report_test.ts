import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Contender } from "./contenders.ts";
import type { Measurement } from "./measure.ts";
import { renderScenario, summaryOf, verdicts } from "./report.ts";
import type { ContenderResult, ScenarioResult } from "./run_scenario.ts";

const contender = (name: string): Contender => ({ name, needs: [], script: () => "" });
const round = (seconds: number, more: Partial<Measurement> = {}): Measurement => ({
  seconds,
  clientCpu: 1,
  sourceCpu: 2,
  targetCpu: 4,
  otherCpu: 0,
  peakBytes: 100 * 1024 ** 2,
  ...more,
});

function result(theirs: Omit<ContenderResult, "name" | "ours">): ScenarioResult {
  return {
    scenario: {
      name: "small-tables",
      what: "many",
      data: () => ({ name: "small", sql: "" }),
      comparisons: [{
        ours: contender("ours"),
        theirs: contender("theirs"),
        bar: { seconds: 0.5 },
      }],
      peakBytes: 150 * 1024 ** 2,
    },
    tableBytes: 512 * 1024 ** 2,
    contenders: [
      { name: "ours", ours: true, rounds: [round(10), round(12, { peakBytes: 160 * 1024 ** 2 })] },
      { name: "theirs", ours: false, ...theirs },
    ],
  };
}

Deno.test("a tool that exceeded its time limit bounds the ratio, without a ratio of CPU time", () => {
  const [verdict] = verdicts(result({ rounds: [], gaveUpAfter: 40 }));
  ok(verdict?.atMost);
  deepStrictEqual(verdict.seconds, { median: 0.275, least: 0.25, most: 0.3 });
  strictEqual(verdict.clientCpu, undefined);
  ok(verdict.reached);
  const text = renderScenario(result({ rounds: [], gaveUpAfter: 40 })).join("\n");
  match(text, /theirs +gave up after 40 s/);
  match(text, /theirs +< 0\.2[78] \(0\.25\.\.0\.30\) .*≤ 0\.50 .*✓/);
});

Deno.test("a tool that finished is compared round by round", () => {
  const [verdict] = verdicts(result({ rounds: [round(40), round(40)] }));
  strictEqual(verdict?.atMost, false);
  deepStrictEqual(verdict?.clientCpu, { median: 1, least: 1, most: 1 });
});

Deno.test("the first row is reported as the median of the rounds in which it was seen", () => {
  const rounds = [{ firstRowSeconds: 0.6 }, {}, { firstRowSeconds: 0.8 }].map((more) =>
    round(40, more)
  );
  match(
    renderScenario(result({ rounds })).join("\n"),
    /theirs +40\.00 \(40\.00\.\.40\.00\) +0\.70 /,
  );
});

Deno.test("a tool that failed or is not installed is not compared", () => {
  deepStrictEqual(verdicts(result({ rounds: [], skipped: "pgcopydb: not installed" })), []);
});

Deno.test("CPU time is reported per gigabyte of tables, memory as the maximum of all rounds", () => {
  const all = result({ rounds: [] });
  const summary = summaryOf(all.contenders[0]!, all);
  strictEqual(summary?.clientCpuPerGb.median, 2);
  strictEqual(summary?.serverCpuPerGb.median, 12);
  strictEqual(summary?.peakBytes.most, 160 * 1024 ** 2);
  ok(summary?.tooMuchMemory);
});
