import { join } from "node:path";

const NAME = "postgres-seren-replicator";

/**
 * The folder that keeps server programs and template data directories between runs, made when
 * missing.
 *
 * Root's lies in the temporary folder, for the servers' unprivileged user must be able to read it
 * and root's home is closed to it. Everybody else's is `$XDG_CACHE_HOME` or `~/.cache`, and without
 * a home the temporary folder again.
 *
 * Requires `--allow-env=XDG_CACHE_HOME,HOME,TMPDIR`, `--allow-sys=uid`, and read and write access
 * to the folder.
 */
export async function cacheRoot(): Promise<string> {
  const uid = Deno.uid();
  const home = Deno.env.get("HOME");
  const base = Deno.env.get("XDG_CACHE_HOME") || (home && join(home, ".cache"));
  if (uid !== 0 && base) {
    const dir = join(base, NAME);
    try {
      await Deno.mkdir(dir, { recursive: true });
      return dir;
    } catch {
      // A home that cannot be written (a system account's): the temporary folder does as well.
    }
  }
  const dir = join(tempRoot(), `${NAME}-cache-${uid ?? 0}`);
  await Deno.mkdir(dir, { mode: 0o755 }).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  // The temporary folder is everybody's: programs planted there by another user must not be run.
  const found = await Deno.lstat(dir);
  if (!found.isDirectory || found.uid !== uid || ((found.mode ?? 0) & 0o022) !== 0) {
    throw new Error(`${dir} belongs to somebody else or is writable by others: remove it`);
  }
  return dir;
}

/** The folder for temporary files (`TMPDIR`, else `/tmp`), as an absolute path. */
export function tempRoot(): string {
  return Deno.env.get("TMPDIR") || "/tmp";
}

/**
 * Makes `dir` once and for all: `prepare` fills a private folder, which is then renamed to `dir`.
 * Processes that do this at the same time do not disturb each other; the first one's folder stays.
 * A finished folder is never touched again.
 */
export async function prepareOnce(
  dir: string,
  prepare: (privateDir: string) => Promise<void>,
): Promise<string> {
  if (await isDirectory(dir)) return dir;
  const privateDir = `${dir}.${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
  try {
    await Deno.mkdir(privateDir, { mode: 0o755 });
    await prepare(privateDir);
    await Deno.rename(privateDir, dir).catch(async (error) => {
      if (!await isDirectory(dir)) throw error;
    });
  } finally {
    await Deno.remove(privateDir, { recursive: true }).catch(() => {});
  }
  return dir;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}
