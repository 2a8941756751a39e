import { join } from "node:path";

const NAME = "postgres-seren-replicator";

/**
 * The folder that caches server programs and template data directories between runs; created if
 * missing.
 *
 * It is `$XDG_CACHE_HOME` or `~/.cache`. For root, and without a home directory, it is in the
 * temporary folder: root's servers run as an unprivileged user, who cannot read root's home.
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
      // not writable, as with system accounts: fall back to the temporary folder
    }
  }
  const dir = join(tempRoot(), `${NAME}-cache-${uid ?? 0}`);
  await Deno.mkdir(dir, { mode: 0o755 }).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  // the temporary folder is shared: never run programs that another user may have put there
  const found = await Deno.lstat(dir);
  if (!found.isDirectory || found.uid !== uid || ((found.mode ?? 0) & 0o022) !== 0) {
    throw new Error(`${dir} is owned by another user or writable by others; remove it`);
  }
  return dir;
}

/** The folder for temporary files (`TMPDIR`, else `/tmp`), as an absolute path. */
export function tempRoot(): string {
  return Deno.env.get("TMPDIR") || "/tmp";
}

/**
 * Creates `dir` atomically: `prepare` fills a private folder, which is then renamed to `dir`. Of
 * concurrent processes, the first to finish wins. A finished folder is never modified.
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
