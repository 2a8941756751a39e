import { errorMessage, ExitCode, ReplicatorError } from "../../core/internal.ts";
import { decrypt, encrypt } from "./cipher.ts";
import type { DataKey, KeyContext, KeyProvider } from "./key_provider.ts";

interface LocalKey {
  readonly id: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const lineForm = /^([0-9a-f]{8}) ([A-Za-z0-9+/]{43}=)$/;

/**
 * Keys in a file that only its owner can read (0600), one per line, newest last. `serve` and all
 * workers need the same file.
 *
 * Requires `--allow-read` for the file, and `--allow-write` to create it or add a key.
 */
export class LocalKeyProvider implements KeyProvider {
  readonly #keys: readonly LocalKey[];

  private constructor(keys: readonly LocalKey[]) {
    this.#keys = keys;
  }

  /** Reads the file. @throws ReplicatorError if it is missing, malformed, or readable by others */
  static async open(path: string): Promise<LocalKeyProvider> {
    return new LocalKeyProvider(await readKeys(path));
  }

  /** Creates the file with a first key, unless it exists. */
  static async create(path: string): Promise<LocalKeyProvider> {
    if (!await exists(path)) {
      try {
        using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
        await writeAll(file, keyLine());
        await file.sync();
      } catch (error) {
        // another instance created it at the same time
        if (!(error instanceof Deno.errors.AlreadyExists)) throw cannotWrite(path, error);
      }
    }
    return await LocalKeyProvider.open(path);
  }

  /**
   * Adds a key, which is used after the next restart; older keys still decrypt what they encrypted.
   * Returns its id.
   */
  static async rotate(path: string): Promise<string> {
    await readKeys(path); // never append to a file of another kind
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

  /** The ids of all keys, newest last. */
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
        remedy: "use the same key file for `serve` and all workers",
      });
    }
    return await decrypt(wrapped, { key: key.bytes, context: contextText(context) });
  }
}

async function exists(path: string): Promise<boolean> {
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
    remedy: `allow it with --allow-write=${path}, or create the file where writing is allowed`,
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
      throw refuse("the key file can be read by users other than its owner", `chmod 600 ${path}`);
    }
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw refuse(
      "the key file does not exist",
      "serve creates a missing file: start serve with this --key-file first, or copy the file",
      error,
    );
  }
  const keys = text.split("\n").filter((line) => line !== "").map((line, index) => {
    const [, id, bytes] = lineForm.exec(line) ?? [];
    if (id === undefined || bytes === undefined) {
      throw refuse(
        `line ${index + 1} of the key file is not a valid key`,
        "check that it is the right file",
      );
    }
    return { id, bytes: Uint8Array.fromBase64(bytes) };
  });
  if (keys.length === 0) throw refuse("the key file is empty", "restore it from a backup");
  return keys;
}
