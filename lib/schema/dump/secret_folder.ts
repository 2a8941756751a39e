/**
 * Files with secrets for client programs: readable by the owner only, and removed with the program
 * or soon after.
 *
 * @module
 */
import { join } from "node:path";

const prefix = "postgres-seren-replicator-";
const lockName = "owner";
/** The files of a secret folder; folders with other files are left alone. */
const fileNames: ReadonlySet<string> = new Set([lockName, "pgpass", "pg_service.conf"]);

/**
 * A folder that only its owner can read, removed on dispose.
 *
 * While it is in use its process locks a file in it. The system releases the lock however the
 * process ends, so the folder of a killed process is recognized reliably and removed by the next
 * process.
 */
export class SecretFolder implements AsyncDisposable {
  readonly #path: string;
  readonly #lock: Deno.FsFile;

  private constructor(path: string, lock: Deno.FsFile) {
    this.#path = path;
    this.#lock = lock;
  }

  /**
   * Creates a folder, and removes abandoned ones. Requires `--allow-read` and `--allow-write` of
   * the temporary folder.
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
      // another process may have removed it just before it was locked
      if (await exists(join(path, lockName))) return new SecretFolder(path, lock);
      lock.close();
    }
  }

  /** Creates a file with mode 0600. */
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
 * Removes folders of killed processes. Does nothing if the temporary folder is not writable.
 */
export async function removeAbandonedSecrets(): Promise<void> {
  try {
    await using _ = await SecretFolder.make();
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
  }
}

/**
 * Removes folders whose processes have ended; those that cannot be read or removed are left alone.
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
    // the tool's own folders are not accessible to others
    if (!folder.isDirectory || folder.uid !== uid) return;
    if (folder.mode !== null && (folder.mode & 0o077) !== 0) return;
    for await (const { name, isFile } of Deno.readDir(path)) {
      if (!isFile || !fileNames.has(name)) return;
    }
    using lock = await Deno.open(join(path, lockName), { write: true });
    if (!await lock.tryLock(true)) return; // its process is running
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

/** Owned by another user, not permitted, or removed in the meantime. */
function isOutOfReach(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.NotADirectory;
}
