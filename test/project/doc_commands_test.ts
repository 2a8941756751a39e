/** Every command in the documentation exists, with every option that it is shown with. */
import { deepStrictEqual, ok } from "node:assert/strict";
import denoJson from "../../deno.json" with { type: "json" };
import { parseArguments } from "../../lib/cli/grammar/parse.ts";
import { repository } from "../support/cli.ts";

/** A command line of a document. */
interface DocumentedCommand {
  readonly place: string;
  readonly words: readonly string[];
}

async function* documents(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(repository + folder)) {
    const path = `${folder}${name}`;
    if (isDirectory) yield* documents(`${path}/`);
    else if (name.endsWith(".md")) yield path;
  }
}

/** The words of a command line: quotes are removed, a comment ends it. */
function wordsOf(line: string): readonly string[] {
  const words: string[] = [];
  for (const [, double, single, bare] of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
    if (bare?.startsWith("#")) break;
    if (bare !== undefined && /^[|>&;]/.test(bare)) break;
    words.push(double ?? single ?? bare ?? "");
  }
  return words;
}

/** The command lines of a script; a quoted text may span several lines. */
function commandLines(script: string): readonly string[] {
  const joined = script.replaceAll(/\\\n/g, " ");
  return joined.match(/(?:"[^"]*"|'[^']*'|#.*|[^\n"'#])+/g) ?? [];
}

/** The commands in the shell examples of a document. */
function commandsIn(text: string, path: string): readonly DocumentedCommand[] {
  const found: DocumentedCommand[] = [];
  for (const [, block = ""] of text.matchAll(/^ *```(?:sh|bash)\n([^]*?)^ *```/gm)) {
    for (const line of commandLines(block)) {
      const words = wordsOf(line);
      if (words.length > 0) found.push({ place: `${path}: ${line.trim()}`, words });
    }
  }
  return found;
}

const commands: DocumentedCommand[] = [];
for (const path of ["README.md", "CONTRIBUTING.md", ...await Array.fromAsync(documents("docs/"))]) {
  commands.push(...commandsIn(await Deno.readTextFile(repository + path), path));
}

Deno.test("the documentation has commands to check", () => {
  ok(commands.length > 80, String(commands.length));
});

Deno.test("every task in the documentation exists", () => {
  const unknown = commands.filter(({ words }) => {
    const at = words.findIndex((word, index) => word === "task" && words[index - 1] === "deno");
    const name = words.slice(at + 1).find((word) => !word.startsWith("-"));
    return at >= 0 && !(name !== undefined && name in denoJson.tasks);
  });
  deepStrictEqual(unknown.map(({ place }) => place), []);
});

/** Tasks that run a command of the command line. */
const ofTask: Readonly<Record<string, readonly string[]>> = {
  start: [],
  cutover: ["cutover"],
  demo: ["demo"],
  serve: ["serve"],
  "serve:trial": ["serve", "--embedded"],
  worker: ["worker"],
};

/** The arguments of the command line in a command; undefined if it runs something else. */
function argumentsIn(words: readonly string[]): readonly string[] | undefined {
  const program = words.findIndex((word) => /(^|\/)postgres-seren-replicator$/.test(word));
  if (program >= 0) {
    const runs = program === 0 || /^[A-Z_]+=/.test(words[0]!) || words[0] === "kubectl";
    return runs ? words.slice(program + 1) : undefined;
  }
  const task = words.indexOf("task");
  if (task >= 0) {
    const before = ofTask[words[task + 1] ?? ""];
    return before === undefined ? undefined : [...before, ...words.slice(task + 2)];
  }
  const bundle = words.findIndex((word) => word.endsWith("/cli.js"));
  return words[0] === "deno" && bundle >= 0 ? words.slice(bundle + 1) : undefined;
}

Deno.test("every command and option in the documentation exists", () => {
  const problems = commands.flatMap(({ place, words }) => {
    const args = argumentsIn(words);
    if (args === undefined) return [];
    const parsed = parseArguments(args, { columns: 80 });
    const wrong = parsed.kind === "print" ? [] : parsed.problems;
    return wrong.map(({ path, message }) => `${place}\n  ${path}: ${message}`);
  });
  deepStrictEqual(problems, []);
});
