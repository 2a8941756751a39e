/**
 * `deno.lock` is frozen: a changed dependency fails and is never recorded.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { denoEnvironment, repository, runProgram } from "../support/cli.ts";

/** Subcommands that resolve packages, unlike `deno task`, `fmt` and `lint`. */
const resolving = /\bdeno (?!task\b|fmt\b|lint\b)\w+ .*?(?=&&|$)/g;
const frozen = /--lock=deno\.lock --frozen /;

/** The commands of all tasks, by name. */
async function tasks(): Promise<readonly (readonly [string, string])[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${repository}deno.json`)) as {
    tasks: Record<string, string | { command: string }>;
  };
  return Object.entries(tasks).map((
    [name, task],
  ) => [name, typeof task === "string" ? task : task.command]);
}

Deno.test("every task uses the frozen deno.lock", async () => {
  const loose = (await tasks()).filter(([, command]) =>
    [...command.matchAll(resolving)].some(([call]) => !frozen.test(call))
  );
  deepStrictEqual(loose, []);
});

async function* scriptsIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(`${repository}${folder}`)) {
    if (isDirectory) yield* scriptsIn(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

Deno.test("every deno call in a script uses the frozen deno.lock", async () => {
  for await (const name of scriptsIn("scripts")) {
    const text = await Deno.readTextFile(`${repository}${name}`);
    for (const [call] of text.matchAll(/new Deno\.Command\("deno", \{\s*args: \[[^]*?\}/g)) {
      if (/"(?:fmt|task)"/.test(call)) continue; // neither resolves packages
      match(call, /"--lock=deno\.lock",\s+"--frozen"/, name);
    }
  }
});

Deno.test("with a changed dependency, tasks fail and leave the lock file unchanged", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for await (const { name } of Deno.readDir(repository)) {
      if (name !== "dist") await Deno.symlink(`${repository}${name}`, `${folder}/${name}`);
    }
    const map = JSON.parse(await Deno.readTextFile(`${repository}import_map.json`));
    delete map.imports.uplot;
    const lock = await Deno.readTextFile(`${repository}deno.lock`);
    for (const name of ["import_map.json", "deno.lock"]) await Deno.remove(`${folder}/${name}`);
    await Deno.writeTextFile(`${folder}/import_map.json`, JSON.stringify(map));
    await Deno.writeTextFile(`${folder}/deno.lock`, lock);
    const env = { ...denoEnvironment(), NO_COLOR: "1" };
    for (const task of ["start", "types", "docs", "house", "slow-types", "bundle", "compile"]) {
      const { code, stderr } = await runProgram(Deno.execPath(), ["task", task], {
        env,
        cwd: folder,
      });
      match(stderr, /lockfile is out of date/i, task);
      strictEqual(code, 1, task);
      strictEqual(await Deno.readTextFile(`${folder}/deno.lock`), lock, task);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
