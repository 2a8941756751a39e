/**
 * Runs the tests that this platform has servers for, and lists those that it leaves out. Embedded
 * servers of all versions exist for Linux on x64 only, and none for Windows; installed servers
 * count too.
 *
 * @module
 */
import { join } from "node:path";
import { embeddedMajors, installedMajors } from "../lib/cluster/mod.ts";
import { selectTests } from "./test_platform/select_tests.ts";

async function* testFiles(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name).replaceAll("\\", "/");
    if (isDirectory) yield* testFiles(path);
    else if (name.endsWith("_test.ts")) yield path;
  }
}

const files = [
  ...await Array.fromAsync(testFiles("lib")),
  ...await Array.fromAsync(testFiles("test")),
];
const majors = [...new Set([...embeddedMajors(), ...await installedMajors()])];
const read = new Map<string, Promise<string | undefined>>();
const readFile = (path: string) =>
  read.getOrInsertComputed(path, () => Deno.readTextFile(path).catch(() => undefined));
const { selected, leftOut } = await selectTests(files.toSorted(), { majors, readFile });
for (const { path, reason } of leftOut) console.log(`left out: ${path} ${reason}`);
console.log(`${selected.length} of ${files.length} test files`);
const { code } = await new Deno.Command("deno", {
  args: [
    ...["test", "--lock=deno.lock", "--frozen", "--quiet", "--no-prompt", "--parallel", "-A"],
    ...selected,
  ],
  stdin: "null",
  stdout: "inherit",
  stderr: "inherit",
}).output();
Deno.exit(code);
