/**
 * Type-checks every TypeScript example in the documentation: README, `docs/`, doc comments. Part of
 * `deno task ok`; `test/project/doc_examples_test.ts` runs those of the published modules.
 *
 * Requires `--allow-read=.`, `--allow-run=deno`.
 *
 * @module
 */
import { join } from "node:path";

async function* documents(path: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    const child = join(path, name);
    if (isDirectory) yield* documents(child);
    else if (/\.(ts|md)$/.test(name)) yield child;
  }
}

const all = ["README.md", "mod.ts"];
for (const folder of ["docs", "lib", "scripts", "test"]) {
  all.push(...await Array.fromAsync(documents(folder)));
}
const withExamples: string[] = [];
for (const file of all) {
  if (/^(?: *\* )?```(?:ts|typescript)\b/m.test(await Deno.readTextFile(file))) {
    withExamples.push(file);
  }
}
const { stderr } = await new Deno.Command("deno", {
  args: ["check", "--quiet", "--lock=deno.lock", "--frozen", "--doc-only", ...withExamples],
  env: { NO_COLOR: "1" },
  stdout: "null",
}).output();
const diagnostics = new TextDecoder().decode(stderr).split("\n\n");
// Deno adds an import of everything that the documented file exports, used or not
const unused = /^TS(?:6133|6192|6196) /;
const problems = diagnostics.filter((text) =>
  !unused.test(text) && !/^Found \d+ errors|^(?:error: )?Type checking failed|^\s*$/.test(text) &&
  !text.startsWith("Stack backtrace")
);
if (problems.length > 0) throw new Error(`examples:\n${problems.join("\n\n")}`);
