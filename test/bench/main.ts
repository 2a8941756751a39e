/**
 * `deno task bench`: compares this tool with its alternatives, between two servers started for it.
 *
 * Results go to stdout, progress to stderr. A missed target is not a failure, since measurements on
 * a busy machine prove nothing. A wrong copy is.
 *
 * @module
 */
import { benchApply } from "./apply.ts";
import { benchCutover } from "./cutover.ts";
import { pgcopydbVersion } from "./contenders.ts";
import { readOptions, usage } from "./options.ts";
import { renderScenario, summaryOf, verdicts } from "./report.ts";
import { runScenario, type ScenarioResult } from "./run_scenario.ts";
import { scenarios } from "./scenarios.ts";
import { startServers } from "./servers.ts";
import { benchVerify } from "./verify.ts";

const cutoverScenario = {
  name: "cutover",
  what: "the pause of a cutover, against a switch by hand (--rounds 20)",
};
const applyScenario = {
  name: "apply",
  what: "changes applied by the tool, against a subscription of the target",
};
const verifyScenario = { name: "verify", what: "both sides compared, against a scan of one" };

async function main(): Promise<void> {
  const names = [
    ...scenarios.map(({ name }) => name),
    verifyScenario.name,
    cutoverScenario.name,
    applyScenario.name,
  ];
  if (Deno.args.includes("--help")) {
    const list = [...scenarios, verifyScenario, cutoverScenario, applyScenario].map((
      { name, what },
    ) => `  ${name.padEnd(28)}${what}`);
    return console.log([usage, "", "Scenarios:", ...list].join("\n"));
  }
  const options = readOptions(Deno.args, names);
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort(new Error("interrupted")));
  if (options.scenarios.includes(cutoverScenario.name)) {
    console.error(cutoverScenario.name);
    const report = (line: string) => console.error(line);
    const print = (line: string) => console.log(line);
    await benchCutover({ options, report, print });
    if (options.scenarios.length === 1) return;
  }
  if (options.scenarios.includes(applyScenario.name)) {
    console.error(applyScenario.name);
    const report = (line: string) => console.error(line);
    console.log((await benchApply({ options, report })).join("\n") + "\n");
    if (options.scenarios.length === 1) return;
  }
  await using servers = await startServers(options);
  if (options.scenarios.includes(verifyScenario.name)) {
    console.error(verifyScenario.name);
    const report = (line: string) => console.error(line);
    console.log((await benchVerify({ options, servers, report })).join("\n") + "\n");
  }
  const results: ScenarioResult[] = [];
  const version = await pgcopydbVersion(options.pgcopydb);
  for (const chosen of scenarios.filter(({ name }) => options.scenarios.includes(name))) {
    const compares = chosen.comparisons.some(({ theirs }) => theirs.needs.includes("pgcopydb"));
    const scenario = compares && version !== undefined
      ? { ...chosen, what: `${chosen.what}; ${version}` }
      : chosen;
    console.error(scenario.name);
    const result = await runScenario(scenario, {
      options,
      servers,
      report: (line) => console.error(line),
      signal: stop.signal,
    });
    console.log(renderScenario(result).join("\n") + "\n");
    results.push(result);
    if (options.json !== undefined) {
      const text = toJson(results, { options, settings: servers.settings });
      await Deno.writeTextFile(options.json, text);
    }
  }
}

function toJson(results: readonly ScenarioResult[], about: Readonly<Record<string, unknown>>) {
  return JSON.stringify(
    {
      ...about,
      cores: navigator.hardwareConcurrency,
      deno: Deno.version.deno,
      scenarios: results.map((result) => ({
        name: result.scenario.name,
        what: result.scenario.what,
        tableBytes: result.tableBytes,
        ...(result.targetBytesPerSecond === undefined
          ? {}
          : { targetBytesPerSecond: result.targetBytesPerSecond }),
        contenders: result.contenders.map((one) => {
          const summary = summaryOf(one, result);
          return summary === undefined ? one : { ...one, summary };
        }),
        ratios: verdicts(result),
      })),
    },
    undefined,
    2,
  );
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exitCode = 1;
}
