/**
 * Files with secrets for client programs: nobody else can read them, and they do not outlive the
 * program, or not for long.
 *
 * @module
 */
import { join } from "node:path";

const prefix = "postgres-seren-replicator-";
const lockName = "owner";
/** What a folder has in it; anything else is not touched. */
const fileNames: ReadonlySet<string> = new Set([lockName, "pgpass", "pg_service.conf"]);

/**
 * A folder that nobody else can look into, removed with all that is in it.
 *
 * While it is in use its process holds a lock on a file in it, which the system releases when the
 * process ends in whatever way. What a killed process has left behind is therefore recognised
 * without doubt, and removed by the next one.
 */
export class SecretFolder implements AsyncDisposable {
  readonly #path: string;
  readonly #lock: Deno.FsFile;

  private constructor(path: string, lock: Deno.FsFile) {
    this.#path = path;
    this.#lock = lock;
  }

  /**
   * Makes one, and removes those that nobody uses any more. Requires `--allow-read --allow-write`
   * of the temporary folder.
   */
  static async make(): Promise<SecretFolder> {
    while (true) {
      const path = await Deno.makeTempDir({ prefix });
      await removeAbandoned(path);
      const lock = await Deno.open(join(path, lockName), {
        createNew: true,
        write: true,
        mode: 0o600,
      });
      await lock.lock(true);
      // another process may have found it a moment before it was locked
      if (await exists(join(path, lockName))) return new SecretFolder(path, lock);
      lock.close();
    }
  }

  /** Writes a file that has mode 0600 from the start. */
  async write(name: "pgpass" | "pg_service.conf", text: string): Promise<string> {
    const path = join(this.#path, name);
    await Deno.writeTextFile(path, text, { createNew: true, mode: 0o600 });
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#path, { recursive: true });
    this.#lock.close();
  }
}

/**
 * Removes what killed processes have left behind. Does nothing where the temporary folder may not
 * be written to.
 */
export async function removeAbandonedSecrets(): Promise<void> {
  try {
    await using _ = await SecretFolder.make();
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
  }
}

/**
 * Removes the folders of processes that have ended without removing them. What cannot be looked at
 * or removed is left alone.
 */
async function removeAbandoned(sibling: string): Promise<void> {
  const root = join(sibling, "..");
  const { uid } = await Deno.lstat(sibling);
  try {
    for await (const { name, isDirectory } of Deno.readDir(root)) {
      const path = join(root, name);
      if (!isDirectory || !name.startsWith(prefix) || path === sibling) continue;
      await removeIfAbandoned(path, uid);
    }
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
  }
}

async function removeIfAbandoned(path: string, uid: number | null): Promise<void> {
  try {
    const folder = await Deno.lstat(path);
    // a folder that others may write to is none of this tool's
    if (!folder.isDirectory || folder.uid !== uid) return;
    if (folder.mode !== null && (folder.mode & 0o077) !== 0) return;
    for await (const { name, isFile } of Deno.readDir(path)) {
      if (!isFile || !fileNames.has(name)) return;
    }
    using lock = await Deno.open(join(path, lockName), { write: true });
    if (!await lock.tryLock(true)) return; // its process lives
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Someone else's, not permitted, or gone meanwhile. */
function isOutOfReach(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.NotADirectory;
}
