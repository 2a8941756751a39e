/**
 * The executable: a bundle, compiled.
 *
 * `deno compile` includes packages whole: with their sources, type definitions and source maps, and
 * with what they depend on but never load, such as a PostgreSQL server of 24 MB beside `pg_dump`.
 * Therefore the program is bundled first. Three modules that load others by URL are replaced by
 * those in `scripts/executable`.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { embeddedDumpModule } from "../../lib/schema/dump/embedded_dump_module.ts";
import { deno } from "./deno.ts";

/** Modules of the executable, by the module that each replaces. */
const replacements = {
  "lib/cli/run/operator_commands.ts": "scripts/executable/operator_commands.ts",
  "lib/copy/copy_thread_module.ts": "scripts/executable/copy_thread_module.ts",
  "lib/schema/dump/embedded_dump_module.ts": "scripts/executable/embedded_dump_module.ts",
};

/** Writes the program into a new folder, removed afterwards, and compiles it as often as needed. */
export class ExecutableBuild implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Bundles the program, and copies `pg_dump` beside it. */
  static async start(): Promise<ExecutableBuild> {
    const build = new ExecutableBuild(
      await Deno.makeTempDir({ dir: ".", prefix: ".executable-" }),
    );
    try {
      await bundle(build.#folder);
      await copyDump(join(build.#folder, "pg_dump"));
      return build;
    } catch (error) {
      await build[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * @param target the triple of another platform
   * @param runtime the runtime of the target; downloaded if undefined
   */
  async compile(
    { output, target, runtime }: {
      readonly output: string;
      readonly target?: string | undefined;
      readonly runtime?: string | undefined;
    },
  ): Promise<void> {
    await deno("compile", [
      ...["--no-check", "-P=executable", "--no-prompt", "--config=deno.json"],
      ...(target === undefined ? [] : ["--target", target]),
      ...["--app-name", "postgres-seren-replicator"],
      ...["--include", this.#folder, "--output", output, join(this.#folder, "cli.js")],
    ], { DENORT_BIN: runtime });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
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
