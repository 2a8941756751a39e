import { errorMessage, ExitCode, ReplicatorError } from "../../core/internal.ts";
import { decrypt, encrypt } from "./cipher.ts";
import type { DataKey, KeyContext, KeyProvider } from "./key_provider.ts";

interface LocalKey {
  readonly id: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const lineForm = /^([0-9a-f]{8}) ([A-Za-z0-9+/]{43}=)$/;

/**
 * Keys in a file that only its owner may read (0600): a line each, the newest last. `serve` and the
 * workers need the same file.
 *
 * Requires `--allow-read` of the file, and `--allow-write` to make it or add to it.
 */
export class LocalKeyProvider implements KeyProvider {
  readonly #keys: readonly LocalKey[];

  private constructor(keys: readonly LocalKey[]) {
    this.#keys = keys;
  }

  /**
   * Reads the file. @throws ReplicatorError when it is missing, malformed, or others may read it
   */
  static async open(path: string): Promise<LocalKeyProvider> {
    return new LocalKeyProvider(await readKeys(path));
  }

  /** Makes the file with a first key; one that is there stays as it is. */
  static async create(path: string): Promise<LocalKeyProvider> {
    if (!await isThere(path)) {
      try {
        using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
        await writeAll(file, keyLine());
        await file.sync();
      } catch (error) {
        // another instance that starts at the same time has made it
        if (!(error instanceof Deno.errors.AlreadyExists)) throw cannotWrite(path, error);
      }
    }
    return await LocalKeyProvider.open(path);
  }

  /**
   * Adds a key, which is used from the next start on; the older ones go on opening what they
   * sealed. Returns its id.
   */
  static async rotate(path: string): Promise<string> {
    await readKeys(path); // a file that is not one of ours is not written to
    const line = keyLine();
    try {
      using file = await Deno.open(path, { append: true });
      await writeAll(file, line);
      await file.sync();
    } catch (error) {
      throw cannotWrite(path, error);
    }
    return line.slice(0, 8);
  }

  /** What is in use, the newest last. */
  get keyIds(): readonly string[] {
    return this.#keys.map(({ id }) => id);
  }

  async generate(context: KeyContext): Promise<DataKey> {
    const newest = this.#keys.at(-1)!;
    const plain = crypto.getRandomValues(new Uint8Array(32));
    const wrapped = await encrypt(plain, { key: newest.bytes, context: contextText(context) });
    return { plain, wrapped, keyId: newest.id };
  }

  async unwrap(
    wrapped: Uint8Array<ArrayBuffer>,
    { keyId, context }: { readonly keyId: string; readonly context: KeyContext },
  ): Promise<Uint8Array<ArrayBuffer>> {
    const key = this.#keys.find(({ id }) => id === keyId);
    if (key === undefined) {
      throw new ReplicatorError(`the key file has no key ${keyId}`, {
        exitCode: ExitCode.prerequisite,
        remedy: "give this process the key file of the one that took the job in",
      });
    }
    return await decrypt(wrapped, { key: key.bytes, context: contextText(context) });
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function cannotWrite(path: string, cause: unknown): ReplicatorError {
  return new ReplicatorError("the key file cannot be written", {
    object: path,
    exitCode: ExitCode.prerequisite,
    details: [errorMessage(cause)],
    remedy: `allow it with --allow-write=${path}, or make it where that is allowed`,
    cause,
  });
}

function contextText(context: KeyContext): string {
  return JSON.stringify(Object.entries(context).sort(([a], [b]) => a < b ? -1 : 1));
}

function keyLine(): string {
  const id = crypto.getRandomValues(new Uint8Array(4)).toHex();
  return `${id} ${crypto.getRandomValues(new Uint8Array(32)).toBase64()}\n`;
}

async function writeAll(file: Deno.FsFile, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) {
    written += await file.write(bytes.subarray(written));
  }
}

async function readKeys(path: string): Promise<readonly LocalKey[]> {
  const refuse = (message: string, remedy: string, cause?: unknown) =>
    new ReplicatorError(message, { object: path, exitCode: ExitCode.prerequisite, remedy, cause });
  let text: string;
  try {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o077) !== 0) {
      throw refuse("others than its owner may read the key file", `chmod 600 ${path}`);
    }
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw refuse("there is no key file", "serve --create-key-file makes one", error);
  }
  const keys = text.split("\n").filter((line) => line !== "").map((line, index) => {
    const [, id, bytes] = lineForm.exec(line) ?? [];
    if (id === undefined || bytes === undefined) {
      throw refuse(`line ${index + 1} of the key file is no key`, "is it the right file?");
    }
    return { id, bytes: Uint8Array.fromBase64(bytes) };
  });
  if (keys.length === 0) throw refuse("the key file is empty", "restore it from a backup");
  return keys;
}
