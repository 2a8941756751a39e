/**
 * Writes `docs/images/demo.svg`, the picture in the README: parts of what the demo prints. Runs the
 * demo, which takes one or two minutes; with an argument, reads its output from that file.
 *
 * @module
 */
import { terminalSvg } from "./picture/terminal_svg.ts";

const columns = 105;

async function runDemo(): Promise<string> {
  const { success, stderr } = await new Deno.Command("deno", {
    args: ["task", "--quiet", "demo"],
    env: { FORCE_COLOR: "1" },
    stdin: "null",
    stdout: "null",
  }).output();
  const text = new TextDecoder().decode(stderr);
  if (!success) throw new Error(text);
  return text;
}

/** The lines of the demo that say most. */
function selectLines(output: string): readonly string[] {
  const lines = output.split("\n");
  const plain = (line: string) => {
    const [first = "", ...rest] = line.split("\x1b[");
    return first + rest.map((part) => part.replace(/^\d+m/, "")).join("");
  };
  const after = (heading: string) => lines.slice(lines.findIndex((line) => line.includes(heading)));
  const take = (from: readonly string[], pattern: RegExp, most: number) =>
    from.filter((line) => pattern.test(plain(line))).slice(0, most);
  return [
    "$ postgres-seren-replicator demo",
    "",
    ...take(lines, /^✓ [\d,]+ rows, /, 1),
    "",
    ...take(lines, /^── The new server follows/, 1),
    ...take(lines, /^ {2}[●○] /, 10),
    "",
    ...take(lines, /^── cutover:/, 1),
    ...take(lines, /^ {2}✓ (to the new|back to the old) server/, 2),
    "",
    ...take(lines, /^── Comparing/, 1),
    ...take(after("Comparing both"), /^(Table |[a-z]\w+\.\w+ .*equal)/, 6),
    ...take(after("Comparing both"), /^and \d+ smaller tables/, 1),
    "",
    ...take(lines, /^✓ [\d,]+ rows in \d+ tables are equal/, 1),
  ];
}

const [recording] = Deno.args;
const output = recording === undefined ? await runDemo() : await Deno.readTextFile(recording);
const title = "The demo: a migration under load, a cutover and back, and a comparison of all rows";
await Deno.mkdir("docs/images", { recursive: true });
await Deno.writeTextFile(
  "docs/images/demo.svg",
  terminalSvg(selectLines(output), { title, columns }),
);
