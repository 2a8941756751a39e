/**
 * Stores the state document of a run in a file.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { errorMessage, ExitCode, ReplicatorError } from "../core/internal.ts";
import type { CheckpointStore } from "./store.ts";

/** The default folder, relative to the working directory. */
export const checkpointFolder = ".postgres-seren-replicator";

/**
 * Stores the text in `FOLDER/OPERATION.json`, readable by its owner only (0600).
 *
 * The text is written to a temporary file, which is synced and renamed, and the folder is synced:
 * after a power failure either the old or the new text exists.
 *
 * Requires `--allow-read` and `--allow-write` for the folder.
 *
 * @example Let a later call resume the copy, wherever it is started
 * ```ts
 * import { FileCheckpointStore, init } from "@seren/postgres-replicator";
 *
 * const folder = await Deno.makeTempDir(); // one that persists, such as /var/lib/migration
 * await init({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   databases: { include: ["app"] },
 *   checkpoint: (operation) => new FileCheckpointStore(operation, folder),
 *   confirm: () => true,
 * });
 * ```
 */
export class FileCheckpointStore implements CheckpointStore {
  readonly place: string;

  /** A file for an operation, in a folder. */
  constructor(operation: string, folder: string = checkpointFolder) {
    this.place = join(folder, `${operation}.json`);
  }

  async read(): Promise<string | undefined> {
    try {
      return await Deno.readTextFile(this.place);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      // a file that Deno's permissions hide counts as absent: a failed write is reported, and the
      // ledger has the rest
      if (error instanceof Deno.errors.NotCapable) return undefined;
      throw this.#explain(error, "read");
    }
  }

  async write(text: string): Promise<void> {
    const folder = dirname(this.place);
    const written = join(folder, `.${crypto.randomUUID()}.tmp`);
    try {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      await writeDurably(written, text);
      await Deno.rename(written, this.place);
      await syncFolder(folder);
    } catch (error) {
      // the temporary file may not exist; report the first error
      await Deno.remove(written).catch(() => {});
      throw this.#explain(error, "written");
    }
  }

  async remove(): Promise<void> {
    try {
      await Deno.remove(this.place);
      await syncFolder(dirname(this.place));
      // fails while other operations have files in it
      await Deno.remove(dirname(this.place)).catch(() => {});
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw this.#explain(error, "removed");
    }
  }

  #explain(error: unknown, verb: string): ReplicatorError {
    const folder = dirname(this.place);
    const denied = error instanceof Deno.errors.NotCapable;
    return new ReplicatorError(
      `the state file cannot be ${verb}: ${errorMessage(error)}`,
      {
        object: this.place,
        remedy: denied
          ? `allow it: --allow-read=${folder} --allow-write=${folder}`
          : "check free space and ownership of the folder, or run the tool in another folder; the target is intact, and the same command resumes from there",
        exitCode: ExitCode.stepFailed,
        cause: error,
      },
    );
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) {
    written += await file.write(bytes.subarray(written));
  }
  await file.sync();
}

/**
 * A rename is durable only after syncing the folder. Windows cannot open folders, and does not need
 * it.
 */
async function syncFolder(folder: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using opened = await Deno.open(folder, { read: true });
  await opened.sync();
}
