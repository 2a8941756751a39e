/**
 * Checks the structure of the source tree: which folder may import which, that no files import each
 * other in a cycle, that an exported name has one meaning, where side effects are allowed, what the
 * published library may load, and that `test` mirrors `lib`. Part of `deno task ok`;
 * `docs/internals/architecture.md` explains the rules.
 *
 * Requires `--allow-read=.`.
 *
 * @module
 */
import { basename, dirname, join, normalize } from "node:path";

/** The folders of `lib`, bottom up: a folder may import those in earlier rows only. */
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
  ["apply"],
  ["verify"],
  ["cutover"],
  ["remote", "cluster"],
  ["demo"],
  ["commands"],
  ["api"],
  ["cli"],
];

/** Sub-folders, bottom up; "." stands for the files directly in the folder. */
const subFolders: Readonly<Record<string, readonly string[]>> = {
  postgres: ["protocol", "connect", "session", "."],
  catalog: [".", "providers", "server", "databases", "expressions", "tables"],
  schema: ["parse", "dump", "apply", "globals", "database", "."],
  replication: [
    "publication",
    "slot",
    "drift",
    "subscription",
    "client",
    ".",
    "progress",
    "hazards",
    "stream",
  ],
  cutover: [".", "facts", "preflight"],
  verify: ["report", "plan", "scan", "live", "narrow", "repair", "structure", "."],
  remote: [
    "guard",
    "keys",
    "secrets",
    "spec",
    "client",
    "store",
    "queue",
    "api",
    "parallel_copy",
    "page",
    "worker",
    ".",
  ],
  commands: [
    "shared",
    "validate",
    "init",
    "sync",
    "status",
    "cleanup",
    "verify",
    "cutover",
    "demo",
    "job_runners",
    ".",
  ],
  cli: ["grammar", "options", "terminal", ".", "print", "remote", "run"],
};

/** Loaded by the command line only: no other export of the package may reach these folders. */
const unpublished = ["lib/cli/", "lib/ui/", "lib/cluster/", "lib/demo/", "lib/commands/demo/"];

/** What a library must not do, and the files and folders that may. */
const effects: readonly { readonly what: RegExp; readonly homes: readonly string[] }[] = [
  { what: /\bsetFlagsFromString\b/, homes: ["lib/cli/run/engine_flags.ts"] },
  { what: /\bDeno\.exit(Code)?\b/, homes: ["cli.ts"] },
  { what: /\bDeno\.env\b/, homes: ["lib/cli/options/environment.ts", "lib/cluster/"] },
  { what: /\bDeno\.(stdin|stdout|stderr|consoleSize)\b/, homes: ["lib/cli/terminal/terminal.ts"] },
  { what: /\bDeno\.addSignalListener\b/, homes: ["lib/cli/terminal/signals.ts"] },
  { what: /^\s*console\.\w+\(/m, homes: [] },
  // the demo's load represents a user's application with its own driver
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

/** `lib/copy/plan.ts` → `copy`; undefined outside the folders of `lib`. */
function folderOf(path: string): string | undefined {
  return /^lib\/([^/]+)\//.exec(path)?.[1];
}

function importProblem(from: string, to: string): string | undefined {
  const importer = folderOf(from);
  const imported = folderOf(to);
  if (importer === imported) return importer && subFolderProblem(importer, from, to);
  if (/\/_[^/]+\.ts$/.test(to)) return `${to} is private to its folder`;
  if (importer === undefined) return undefined;
  if (imported === undefined) return `a folder of lib cannot import ${to}`;
  if (importer === "ui") return imported === "core" ? undefined : "ui may import only core";
  if (imported === "ui") return importer === "cli" ? undefined : "only cli may import ui";
  const rank = (folder: string) => order.findIndex((row) => row.includes(folder));
  if (rank(importer) < 0) return `folder ${importer} is missing from the order in this script`;
  if (rank(imported) < 0) return `folder ${imported} is missing from the order in this script`;
  return rank(imported) < rank(importer) ? undefined : `${imported} is not below ${importer}`;
}

/** The same for two files of one folder; its `mod.ts` and `internal.ts` may import everything. */
function subFolderProblem(room: string, from: string, to: string): string | undefined {
  const order = subFolders[room];
  if (order === undefined || /\/(mod|internal)\.ts$/.test(from)) return undefined;
  const subFolder = (path: string) => {
    const parts = path.split("/");
    return parts.length > 3 ? parts[2]! : ".";
  };
  const [importer, imported] = [subFolder(from), subFolder(to)];
  if (importer === imported) return undefined;
  const unknown = [importer, imported].find((folder) => !order.includes(folder));
  if (unknown !== undefined) {
    return `folder ${room}/${unknown} is missing from the order in this script`;
  }
  return order.indexOf(imported) < order.indexOf(importer)
    ? undefined
    : `${room}/${imported} is not below ${room}/${importer}`;
}

/** Import cycles among files, each reported once by its shortest path. */
function findCycles(imports: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const found = new Map<string, string>();
  for (const start of imports.keys()) {
    const cameFrom = new Map<string, string>();
    const queue = [start];
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const next = imports.get(file) ?? [];
      if (next.includes(start)) {
        const path = [file];
        for (let at = cameFrom.get(file); at !== undefined; at = cameFrom.get(at)) path.unshift(at);
        const key = path.toSorted().join(" ");
        if (!found.has(key)) found.set(key, [...path, start].join(" → "));
        break;
      }
      for (const each of next) {
        if (each === start || cameFrom.has(each)) continue;
        cameFrom.set(each, file);
        queue.push(each);
      }
    }
  }
  return [...found.values()];
}

/**
 * For each unpublished file that an export other than `./cli` loads, the import that leads there.
 */
function findLeaks(
  imports: ReadonlyMap<string, readonly string[]>,
  entryPoints: readonly string[],
): readonly string[] {
  const seen = new Set(entryPoints);
  const leaks: string[] = [];
  for (const file of seen) {
    for (const next of imports.get(file) ?? []) {
      if (unpublished.some((folder) => next.startsWith(folder))) leaks.push(`${file} → ${next}`);
      else seen.add(next);
    }
  }
  return leaks;
}

/** Removes comments, whose examples may do anything. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

/** Top-level declarations, with their names; what is only re-exported is none. */
const topLevelDeclaration =
  /^(export )?(?:declare )?(?:abstract )?(?:async )?(?:function\*?|class|const|let|interface|type|enum) (\w+)/gm;

/** Exported names that other files may declare for themselves. */
const localNames = new Set([
  // lists of facts, always written with their file: `relations.columns`
  "columns",
  "database",
  "relations",
  "rules",
  "schemas",
  // cutover
  "readColumns",
  "refusePhases",
]);

/**
 * Names exported by one file and declared again by another, exported or not: an exported name has
 * one meaning in the whole repository.
 */
function findHomonyms(
  exported: ReadonlyMap<string, ReadonlySet<string>>,
  declared: ReadonlyMap<string, ReadonlySet<string>>,
): readonly string[] {
  return [...exported].flatMap(([name, homes]) => {
    const files = localNames.has(name) ? homes : declared.get(name)!;
    return files.size < 2 ? [] : [`${name} is declared by ${[...files].join(" and ")}`];
  });
}

/** Tests of the folders of `lib`; `test` has others as well, such as `cases` and `project`. */
async function* mirroredTests(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* mirroredTests(path);
    else if (name.endsWith("_test.ts")) yield path;
  }
}

/**
 * Why a test is not where its file is: the test of `lib/copy/a/b.ts` is `test/copy/a/b_test.ts`. A
 * test named after no file, after several or after its own folder is about the folder.
 */
function testProblem(test: string, files: readonly string[]): string | undefined {
  const mirrored = dirname(test).replace(/^test/, "lib");
  const room = mirrored.split("/").slice(0, 2).join("/") + "/";
  if (!files.some((file) => file.startsWith(room))) return undefined;
  if (!files.some((file) => file.startsWith(`${mirrored}/`))) return `${mirrored} does not exist`;
  const name = basename(test, "_test.ts");
  if (name === basename(mirrored)) return undefined;
  const [file, ...more] = files.filter((each) =>
    each.startsWith(room) && basename(each) === `${name}.ts`
  );
  if (file === undefined || more.length > 0 || dirname(file) === mirrored) return undefined;
  return `tests ${file}, so it belongs in ${dirname(file).replace(/^lib/, "test")}`;
}

const problems: string[] = [];
const exported = new Map<string, Set<string>>();
const declared = new Map<string, Set<string>>();
const imports = new Map<string, string[]>();
const files = ["mod.ts", "cli.ts", ...await Array.fromAsync(sources("lib"))];
for (const file of files) {
  const text = withoutComments(await Deno.readTextFile(file));
  for (const [, specifier = ""] of text.matchAll(importSpecifier)) {
    if (!specifier.startsWith(".")) continue;
    const imported = normalize(join(dirname(file), specifier));
    imports.set(file, [...imports.get(file) ?? [], imported]);
    const problem = importProblem(file, imported);
    if (problem !== undefined) problems.push(`${file}: imports ${specifier}: ${problem}`);
  }
  for (const [, isExported, name = ""] of text.matchAll(topLevelDeclaration)) {
    declared.set(name, (declared.get(name) ?? new Set()).add(file));
    if (isExported) exported.set(name, (exported.get(name) ?? new Set()).add(file));
  }
  for (const { what, homes } of effects) {
    const match = what.exec(text);
    if (match !== null && !homes.some((home) => file.startsWith(home))) {
      problems.push(
        `${file}: uses ${match[0]}, allowed only in ${homes.join(" and ") || "no file"}`,
      );
    }
  }
}
for (const test of await Array.fromAsync(mirroredTests("test"))) {
  const problem = testProblem(test, files);
  if (problem !== undefined) problems.push(`${test}: ${problem}`);
}
for (const homonym of findHomonyms(exported, declared)) {
  problems.push(`an exported name has one meaning: ${homonym}`);
}
for (const cycle of findCycles(imports)) problems.push(`import cycle: ${cycle}`);
const { exports } = JSON.parse(await Deno.readTextFile("deno.json")) as {
  readonly exports: Readonly<Record<string, string>>;
};
const entryPoints = Object.entries(exports)
  .flatMap(([name, path]) => name === "./cli" ? [] : [normalize(path)]);
for (const leak of findLeaks(imports, entryPoints)) {
  problems.push(`the published library loads what only the command line may load: ${leak}`);
}
if (problems.length > 0) throw new Error(`structure of the source tree:\n${problems.join("\n")}`);
