/**
 * Builds the documentation site from `docs/` into `dist/site`, with VitePress. A dead link, and a
 * page of the navigation that does not exist, are errors. `dist/site-build` contains what is built,
 * and the packages, whose versions `scripts/site/deno.lock` pins.
 *
 * `SITE_BASE` is the path under which the site is served: `/postgres-seren-replicator/` by default,
 * as on GitHub Pages.
 *
 * @module
 */
import { dirname, join, resolve } from "node:path";
import { defaultRepositoryUrl } from "./release/project.ts";
import { siteConfig } from "./site/config.ts";
import { rootPages, sitePath, withSiteLinks } from "./site/links.ts";
import { type KnownMessage, messagesIn, messagesPage } from "./site/messages.ts";

const stage = "dist/site-build";
const pages = join(stage, "pages");
const repository = Deno.env.get("GITHUB_REPOSITORY");
const repositoryUrl = repository === undefined
  ? defaultRepositoryUrl
  : `https://github.com/${repository}`;
const base = Deno.env.get("SITE_BASE") ?? `/${repositoryUrl.split("/").at(-1)}/`;

async function* files(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* files(path);
    else yield path;
  }
}

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}

/** Copies the pages, and the files that they link to. Returns the titles of the pages. */
async function copyPages(): Promise<ReadonlyMap<string, string>> {
  const titles = new Map<string, string>();
  const roots = Object.keys(rootPages).filter((path) => path !== "README.md");
  for (const path of [...roots, ...await Array.fromAsync(files("docs"))]) {
    const target = sitePath(path)!;
    const text = await Deno.readTextFile(path);
    if (path.endsWith(".svg")) {
      await write(join(pages, target), text);
      continue;
    }
    if (!path.endsWith(".md")) {
      await write(join(pages, "public", target), text);
      continue;
    }
    titles.set(target, /^# (.+)$/m.exec(text)?.[1] ?? target);
    await write(join(pages, target), withSiteLinks(text, { path, repositoryUrl, base }));
  }
  return titles;
}

/** Writes the page of messages from the source code. */
async function writeMessages(): Promise<void> {
  const found: KnownMessage[] = [];
  for await (const path of files("lib")) {
    const [, folder = ""] = path.split("/");
    if (path.endsWith(".ts")) found.push(...messagesIn(await Deno.readTextFile(path), folder));
  }
  await write(join(pages, "reference/messages.md"), messagesPage(found));
}

/** Runs `deno` in the folder of the site, with its lock file. */
async function deno(command: string, ...args: readonly string[]): Promise<void> {
  const { success } = await new Deno.Command("deno", {
    args: [command, "--lock=deno.lock", "--frozen", "--quiet", ...args],
    cwd: stage,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`deno ${command} failed in ${stage}`);
}

for (const path of [pages, "dist/site"]) {
  await Deno.remove(path, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
const titles = new Map(await copyPages());
await writeMessages();
titles.set("reference/messages.md", "Messages");
const config = siteConfig({ base, repositoryUrl, outDir: resolve("dist/site"), titles });
await write(
  join(stage, ".vitepress/config.mjs"),
  `import { withMermaid } from "vitepress-plugin-mermaid";\nexport default withMermaid(${
    JSON.stringify(config)
  });\n`,
);
for (const name of ["deno.json", "deno.lock"]) {
  await Deno.copyFile(`scripts/site/${name}`, join(stage, name));
}
await deno("install");
await deno("run", "--allow-all", "npm:vitepress@1.6.4", "build");
console.log("dist/site");
