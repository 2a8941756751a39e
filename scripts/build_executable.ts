/**
 * Builds the executable: `dist/postgres-seren-replicator`, or with `--target TRIPLE --output FILE`
 * that of another platform.
 *
 * The program is bundled first and the bundle compiled, because `deno compile` includes packages
 * whole: with their sources, type definitions and source maps, and with what they depend on but
 * never load, such as a PostgreSQL server of 24 MB beside `pg_dump`. Three modules that load others
 * by URL are replaced by those in `scripts/executable`.
 *
 * Requires `--allow-read`, `--allow-write`, `--allow-run=deno`. The runtime is downloaded, unless
 * `DENORT_BIN` names it.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { embeddedDumpModule } from "../lib/schema/dump/embedded_dump_module.ts";

/** Modules of the executable, by the module that each replaces. */
const replacements = {
  "lib/cli/run/operator_commands.ts": "scripts/executable/operator_commands.ts",
  "lib/copy/copy_thread_module.ts": "scripts/executable/copy_thread_module.ts",
  "lib/schema/dump/embedded_dump_module.ts": "scripts/executable/embedded_dump_module.ts",
};

/** Runs a command of `deno` and returns its output. Throws an `Error` with its messages. */
async function deno(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: [command, "--lock=deno.lock", "--frozen", "--quiet", ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`deno ${command}: ${text.decode(stderr).trim()}`);
  return text.decode(stdout);
}

async function bundle(folder: string): Promise<void> {
  const url = (path: string) => pathToFileURL(resolve(path)).href;
  const { imports } = JSON.parse(await Deno.readTextFile("import_map.json"));
  for (const [from, to] of Object.entries(replacements)) imports[url(from)] = url(to);
  const map = join(folder, "import_map.json");
  await Deno.writeTextFile(map, JSON.stringify({ imports }));
  await deno("bundle", [
    ...["--import-map", map, "--code-splitting", "--outdir", folder],
    ...["cli.ts", "lib/copy/copy_thread.ts"],
  ]);
  await Deno.remove(map);
}

/** Copies pg_dump, without the packages that its package names and pg_dump does not load. */
async function copyDump(folder: string): Promise<void> {
  const info = await deno("info", ["--json", embeddedDumpModule]);
  const { modules: [{ npmPackage }], npmPackages } = JSON.parse(info);
  const { localPath } = npmPackages[npmPackage];
  const from = join(localPath, "dist");
  await Deno.mkdir(folder);
  for await (const { name } of Deno.readDir(from)) {
    if (/^(pg_dump|chunk-\w+)\.(js|wasm)$/.test(name)) {
      await Deno.copyFile(join(from, name), join(folder, name));
    }
  }
  await Deno.copyFile(join(localPath, "LICENSE"), join(folder, "LICENSE"));
}

/** Builds the executable for a platform; this one by default. */
export async function buildExecutable(
  { output, target }: { readonly output: string; readonly target?: string | undefined },
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: ".", prefix: ".executable-" });
  try {
    await bundle(folder);
    await copyDump(join(folder, "pg_dump"));
    await deno("compile", [
      ...["--no-check", "-P=executable", "--no-prompt", "--config=deno.json"],
      ...(target === undefined ? [] : ["--target", target]),
      ...["--app-name", "postgres-seren-replicator"],
      ...["--include", folder, "--output", output, join(folder, "cli.js")],
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const { values: { output, target } } = parseArgs({
    args: Deno.args,
    options: {
      output: { type: "string", default: "dist/postgres-seren-replicator" },
      target: { type: "string" },
    },
  });
  await buildExecutable({ output, target });
}
