/**
 * Runs the whole story from and to a stand-in of each provider, and prints what each step showed as
 * a Markdown table. `--from NAME --to NAME` runs one pair; `--verbose` prints whole messages.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { runStory, steps, type Story } from "./story.ts";
import { StandIn, type StandInName } from "./stand_ins.ts";

const others: readonly StandInName[] = [
  "rds",
  "cloud-sql",
  "azure",
  "neon",
  "supabase",
  "heroku",
];

const { values } = parseArgs({
  options: {
    from: { type: "string" },
    to: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});
const pairs: readonly (readonly [StandInName, StandInName])[] = values.from === undefined
  ? [
    ["self-hosted", "self-hosted"],
    ...others.flatMap((name) => [[name, "self-hosted"], ["self-hosted", name]] as const),
  ]
  : [[values.from as StandInName, (values.to ?? "self-hosted") as StandInName]];

const sourceMajor = 16;
const targetMajor = 17;

console.log(`| from → to (${sourceMajor} → ${targetMajor}) | applier | ${steps.join(" | ")} |`);
console.log(`| --- | --- | ${steps.map(() => "---").join(" | ")} |`);
let failed = false;
for (const [from, to] of pairs) {
  await using source = await StandIn.start(from, sourceMajor);
  await using target = await StandIn.start(to, targetMajor);
  const story = await runStory(source, target, "app");
  const cells = steps.map((step) => cell(story, step));
  failed ||= story.observations.some(({ result }) => !/^ok|^not offered/.test(result));
  console.log(`| ${from} → ${to} | ${story.applier ?? "none"} | ${cells.join(" | ")} |`);
  if (values.verbose) console.error(JSON.stringify(story, null, 2));
}
if (failed) Deno.exit(1);

function cell({ observations }: Story, step: string): string {
  const found = observations.find((each) => each.step === step);
  if (found === undefined) return "–";
  return found.result.replaceAll("|", "\\|").replaceAll("\n", " ");
}
