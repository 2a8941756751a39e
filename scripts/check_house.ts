/**
 * Holds the order of the house: which folder may import which, and where the effects have their
 * home. Part of `deno task ok`; `docs/internals/architecture.md` explains the order.
 *
 * Requires `--allow-read=.`.
 *
 * @module
 */
import { dirname, join, normalize } from "node:path";

/**
 * From the ground up: a folder imports those in rows above its own (earlier here), never one of its
 * own row.
 */
const order: readonly (readonly string[])[] = [
  ["core"],
  ["rules"],
  ["config"],
  ["postgres"],
  ["catalog"],
  ["schema"],
  ["checkpoint"],
  ["copy"],
  ["replication"],
  ["verify"],
  ["remote", "cluster"],
  ["demo"],
  ["commands"],
  ["cli"],
];

/** What a library never does, and the files and folders that may. */
const effects: readonly { readonly what: RegExp; readonly homes: readonly string[] }[] = [
  { what: /\bsetFlagsFromString\b/, homes: ["lib/cli/run/engine_flags.ts"] },
  { what: /\bDeno\.exit(Code)?\b/, homes: ["cli.ts"] },
  { what: /\bDeno\.env\b/, homes: ["lib/cli/options/environment.ts", "lib/cluster/"] },
  { what: /\bDeno\.(stdin|stdout|stderr|consoleSize)\b/, homes: ["lib/cli/terminal/terminal.ts"] },
  { what: /\bDeno\.addSignalListener\b/, homes: ["lib/cli/terminal/signals.ts"] },
  { what: /^\s*console\.\w+\(/m, homes: [] },
  // the demo's load is somebody else's application, which has a driver of its own
  { what: /from "postgres"/, homes: ["lib/postgres/", "lib/demo/"] },
];

const importSpecifier = /(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g;

async function* sources(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* sources(path);
    else if (/\.ts$/.test(name) && !/_test\.ts$/.test(name)) yield path;
  }
}

/** `lib/copy/plan.ts` → `copy`; undefined for what is not in a folder of `lib`. */
function folderOf(path: string): string | undefined {
  return /^lib\/([^/]+)\//.exec(path)?.[1];
}

function importProblem(from: string, to: string): string | undefined {
  const importer = folderOf(from);
  const imported = folderOf(to);
  if (importer === imported) return undefined;
  if (/\/_[^/]+\.ts$/.test(to)) return `${to} is private to its folder`;
  if (importer === undefined) return undefined;
  if (imported === undefined) return `a folder of lib cannot import ${to}`;
  if (importer === "ui") return imported === "core" ? undefined : "ui imports core alone";
  if (imported === "ui") return importer === "cli" ? undefined : "only cli imports ui";
  const rank = (folder: string) => order.findIndex((row) => row.includes(folder));
  if (rank(importer) < 0) return `folder ${importer} has no place in the order`;
  if (rank(imported) < 0) return `folder ${imported} has no place in the order`;
  return rank(imported) < rank(importer)
    ? undefined
    : `${importer} stands above ${imported} and cannot import it`;
}

/** A text without what stands in comments, where examples may do anything. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

const problems: string[] = [];
const files = ["mod.ts", "cli.ts", ...await Array.fromAsync(sources("lib"))];
for (const file of files) {
  const text = withoutComments(await Deno.readTextFile(file));
  for (const [, specifier = ""] of text.matchAll(importSpecifier)) {
    if (!specifier.startsWith(".")) continue;
    const problem = importProblem(file, normalize(join(dirname(file), specifier)));
    if (problem !== undefined) problems.push(`${file}: imports ${specifier}: ${problem}`);
  }
  for (const { what, homes } of effects) {
    const match = what.exec(text);
    if (match !== null && !homes.some((home) => file.startsWith(home))) {
      problems.push(`${file}: uses ${match[0]}, whose home is ${homes.join(" or ") || "nowhere"}`);
    }
  }
}
if (problems.length > 0) throw new Error(`the house is not in order:\n${problems.join("\n")}`);
