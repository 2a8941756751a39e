/**
 * Builds everything that a release consists of, in `dist/release`, the same way on every machine:
 *
 * - executables for five platforms, with manual page and completions
 * - `cli.js`, the one-file bundle, and `cli.lock.json`, with which Deno verifies it
 * - `install.sh`, the Homebrew formula, and the notes from CHANGELOG.md
 * - `sbom.cdx.json`, the packages in the executables, and `SHA256SUMS`
 *
 * `dist/image` contains the programs for the container image (`deploy/Containerfile`).
 *
 * A platform whose runtime cannot be downloaded is skipped with a message; with `--all`, that is an
 * error. `--check-tag v1.2.3` only compares a tag with the version.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import denoJson from "../deno.json" with { type: "json" };
import { shells } from "../lib/cli/grammar/commands.ts";
import { completionScript } from "../lib/cli/grammar/completions.ts";
import { embeddedDumpModule } from "../lib/schema/dump/embedded_dump_module.ts";
import { type ArchivedFile, gzippedTar } from "./release/archive.ts";
import { bundleLock } from "./release/bundle_lock.ts";
import { releaseNotes } from "./release/changelog.ts";
import { deno } from "./release/deno.ts";
import { ExecutableBuild } from "./release/executable.ts";
import { homebrewFormula } from "./release/formula.ts";
import { artefactName, type Platform, platforms } from "./release/platforms.ts";
import { defaultRepositoryUrl, programName } from "./release/project.ts";
import { findRuntime } from "./release/runtime.ts";
import { type InfoPackage, type ModuleInfo, softwareBillOfMaterials } from "./release/sbom.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    all: { type: "boolean", default: false },
    "check-tag": { type: "string" },
    "bundle-url": { type: "string", default: "https://example.com/cli.js" },
    output: { type: "string", default: "dist/release" },
  },
});
const { version } = denoJson;
const denoLock = JSON.parse(await Deno.readTextFile("deno.lock"));
const folder = options.output;
const imageFolder = join(folder, "../image");
const repository = Deno.env.get("GITHUB_REPOSITORY");
const repositoryUrl = repository === undefined
  ? defaultRepositoryUrl
  : `https://github.com/${repository}`;

/** The files beside the program in each archive. */
async function sharedFiles(): Promise<readonly ArchivedFile[]> {
  const read = async (path: string, from: string): Promise<ArchivedFile> => ({
    path: `${programName}/${path}`,
    content: await Deno.readFile(from),
  });
  const completions = {
    bash: `${programName}.bash`,
    zsh: `_${programName}`,
    fish: `${programName}.fish`,
  };
  return [
    await read("LICENSE", "LICENSE"),
    await read(`share/man/man1/${programName}.1`, `docs/reference/${programName}.1`),
    ...shells.map((shell): ArchivedFile => ({
      path: `${programName}/share/completions/${completions[shell]}`,
      content: new TextEncoder().encode(completionScript(shell)),
    })),
  ];
}

/** Builds the file of a platform. Returns false if its runtime cannot be downloaded. */
async function buildPlatform(
  platform: Platform,
  { build, shared }: {
    readonly build: ExecutableBuild;
    readonly shared: readonly ArchivedFile[];
  },
): Promise<boolean> {
  const isOwn = platform.triple === Deno.build.target;
  const isWindows = platform.name.startsWith("windows");
  const program = join(folder, isWindows ? artefactName(platform) : programName);
  try {
    await build.compile({
      output: program,
      target: platform.triple,
      runtime: isOwn ? await findRuntime() : undefined,
    });
  } catch (error) {
    const isMissing = error instanceof Error && /denort|Setting up base binary/.test(error.message);
    if (!isMissing || options.all) throw error;
    console.log(`skipped ${platform.name}: its runtime cannot be downloaded`);
    return false;
  }
  if (!isWindows) {
    const content = await Deno.readFile(program);
    const path = `${programName}/bin/${programName}`;
    const archive = await gzippedTar([{ path, content, executable: true }, ...shared]);
    await Deno.writeFile(join(folder, artefactName(platform)), archive);
    if (platform.imageArchitecture === undefined) await Deno.remove(program);
    else {
      const image = join(imageFolder, platform.imageArchitecture);
      await Deno.mkdir(image, { recursive: true });
      await Deno.rename(program, join(image, programName));
    }
  }
  console.log(`built ${artefactName(platform)}`);
  return true;
}

async function sha256(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(join(folder, path)));
  return new Uint8Array(digest).toHex();
}

async function write(name: string, text: string): Promise<void> {
  await Deno.writeTextFile(join(folder, name), text);
}

/** The licenses that packages declare, by their id. */
async function readLicenses(
  packages: Readonly<Record<string, InfoPackage>>,
): Promise<Record<string, string | undefined>> {
  const found: Record<string, string | undefined> = {};
  for (const [id, { localPath }] of Object.entries(packages)) {
    const text = await Deno.readTextFile(join(localPath, "package.json")).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return "{}"; // not loaded on this machine
      throw error;
    });
    const { license } = JSON.parse(text);
    found[id] = typeof license === "string" ? license : undefined;
  }
  return found;
}

/** The graph of everything that the executable contains. */
async function moduleInfo(): Promise<ModuleInfo> {
  const roots = [
    ...["cli.ts", "lib/copy/copy_thread.ts", embeddedDumpModule],
    ...["serve", "worker", "keys"].map((name) => `lib/cli/run/run_${name}.ts`),
  ];
  const graphs: ModuleInfo[] = [];
  for (const root of roots) graphs.push(JSON.parse(await deno("info", ["--json", root])));
  return {
    modules: graphs.flatMap(({ modules }) => modules),
    npmPackages: Object.assign({}, ...graphs.map(({ npmPackages }) => npmPackages)),
  };
}

if (options["check-tag"] !== undefined) {
  if (options["check-tag"] !== `v${version}`) {
    throw new Error(`the tag is ${options["check-tag"]}, but deno.json has version ${version}`);
  }
  Deno.exit(0);
}

for (const each of [folder, imageFolder]) {
  await Deno.remove(each, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
await Deno.mkdir(folder, { recursive: true });
const shared = await sharedFiles();
const built: Platform[] = [];
{
  await using build = await ExecutableBuild.start();
  for (const platform of platforms) {
    if (await buildPlatform(platform, { build, shared })) built.push(platform);
  }
}

await deno("bundle", ["--output", join(folder, "cli.js"), "cli.ts"]);
await write(
  "cli.lock.json",
  bundleLock({
    url: options["bundle-url"],
    sha256: await sha256("cli.js"),
    specifier: embeddedDumpModule.slice(0, embeddedDumpModule.lastIndexOf("/")),
    lock: denoLock,
  }),
);

const info = await moduleInfo();
const bill = softwareBillOfMaterials({
  version,
  repositoryUrl,
  deno: Deno.version.deno,
  info,
  locked: denoLock.npm,
  licenses: await readLicenses(info.npmPackages),
});
await write("sbom.cdx.json", `${JSON.stringify(bill, null, 2)}\n`);

const archives = await Promise.all(
  built.filter(({ name }) => !name.startsWith("windows")).map(async (platform) => ({
    platform: platform.name,
    url: `${repositoryUrl}/releases/download/v${version}/${artefactName(platform)}`,
    sha256: await sha256(artefactName(platform)),
  })),
);
await write(`${programName}.rb`, homebrewFormula({ version, repositoryUrl, archives }));
const installer = await Deno.readTextFile("deploy/install.sh");
await write("install.sh", installer.replaceAll(defaultRepositoryUrl, repositoryUrl));
await write("NOTES.md", releaseNotes(await Deno.readTextFile("CHANGELOG.md"), version));

const sums: string[] = [];
for (const { name } of (await Array.fromAsync(Deno.readDir(folder)))) {
  sums.push(`${await sha256(name)}  ${name}`);
}
await write(
  "SHA256SUMS",
  `${sums.toSorted((a, b) => a.slice(66) < b.slice(66) ? -1 : 1).join("\n")}\n`,
);
console.log(`${folder}: version ${version}, ${built.length} of ${platforms.length} platforms`);
