import { Readable } from "node:stream";
import type { Environment } from "../options/environment.ts";

/** One of the two output streams. */
export interface Output {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly color: boolean;
  /** The current size; 80 × 24 if unknown. */
  readonly size: () => { readonly columns: number; readonly rows: number };
}

/** The process's streams: results, everything else, and the user. */
export interface Terminal {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Whether the user can be asked: stdin and stderr are a terminal. */
  readonly canAsk: boolean;
  /**
   * Asks a question on stderr and reads a line of input; undefined at its end. Text that was typed
   * before the question appeared is discarded: it cannot have been meant as an answer.
   */
  readonly ask: (question: string) => Promise<string | undefined>;
  /** The keys pressed from now on, for a prompt that handles them itself, until disposed of. */
  readonly openKeys: () => Promise<KeyStream>;
  /**
   * Reports each key as it is pressed, without echo, until disposed of; Ctrl-C remains a signal.
   * Does nothing if stdin is not a terminal.
   */
  readonly listenForKeys: (onKey: (key: string) => void) => Disposable;
}

/** Opens the process's streams; nothing else in the tool touches them. */
export function openTerminal(
  environment: Environment,
  { color }: { readonly color: boolean },
): Terminal {
  const output = (stream: typeof Deno.stdout | typeof Deno.stderr): Output => {
    const isTerminal = stream.isTerminal();
    return {
      write: (text) => writeAll(stream, text),
      isTerminal,
      color: color && wantsColor(environment, isTerminal),
      size: consoleSize,
    };
  };
  const stderr = output(Deno.stderr);
  return {
    stdout: output(Deno.stdout),
    stderr,
    canAsk: Deno.stdin.isTerminal() && stderr.isTerminal,
    ask: async (question) => {
      await discardInput();
      stderr.write(question);
      return await readLine();
    },
    openKeys: async () => {
      await discardInput();
      return new KeyStream();
    },
    listenForKeys,
  };
}

/** Source: https://no-color.org: any non-empty value disables colors. */
function wantsColor(environment: Environment, isTerminal: boolean): boolean {
  if (environment["NO_COLOR"]) return false;
  if (environment["FORCE_COLOR"]) return environment["FORCE_COLOR"] !== "0";
  return isTerminal && environment["TERM"] !== "dumb";
}

const encoder = new TextEncoder();

function writeAll(stream: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  const bytes = encoder.encode(text);
  let written = 0;
  try {
    while (written < bytes.length) {
      try {
        written += stream.writeSync(bytes.subarray(written));
      } catch (error) {
        // the pipe was made non-blocking elsewhere and is full: it will be read soon
        if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      }
    }
  } catch (error) {
    // the reader is gone (`… | head`): the work continues, and its exit code still counts
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function consoleSize(): { readonly columns: number; readonly rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // not a terminal
  }
  return { columns: 80, rows: 24 };
}

/** A read that has begun cannot be ended: what it brings belongs to whoever reads next. */
let reading: Promise<Uint8Array | null> | undefined;

async function readInput(): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(256);
  const count = await Deno.stdin.read(buffer);
  return count === null ? null : buffer.subarray(0, count);
}

async function readLine(): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let line = "";
  while (!line.includes("\n")) {
    const bytes = await (reading ?? readInput());
    reading = undefined;
    if (bytes === null) return line === "" ? undefined : line;
    line += decoder.decode(bytes, { stream: true });
  }
  return line.slice(0, line.indexOf("\n")).replace(/\r$/, "");
}

/**
 * Standard input as the terminal of one prompt, in the shape of Node.js' `tty.ReadStream`. A read
 * that is pending when it is disposed of belongs to the next reader.
 */
export class KeyStream extends Readable implements Disposable {
  readonly isTTY = true;
  #isOpen = true;

  setRawMode(isRaw: boolean): this {
    Deno.stdin.setRaw(isRaw);
    return this;
  }

  override _read(): void {
    const own = reading ??= readInput();
    const take = (bytes: Uint8Array | null) => {
      if (!this.#isOpen) return;
      if (reading === own) reading = undefined;
      this.push(bytes);
    };
    own.then(take, (error) => this.destroy(error));
  }

  [Symbol.dispose](): void {
    this.#isOpen = false;
  }
}

/** Input that has been typed arrives within this time. */
const quietMs = 50;

/** Discards what has been typed, including a line without its end. */
async function discardInput(): Promise<void> {
  if (!Deno.stdin.isTerminal()) return;
  // otherwise the terminal keeps a line until it is complete
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    for (;;) {
      reading ??= readInput();
      const quiet = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => quiet.resolve(undefined), quietMs);
      const bytes = await Promise.race([reading, quiet.promise]);
      clearTimeout(timer);
      if (bytes === undefined) return;
      reading = undefined;
      if (bytes === null) return;
    }
  } finally {
    Deno.stdin.setRaw(false);
  }
}

function listenForKeys(onKey: (key: string) => void): Disposable {
  if (!Deno.stdin.isTerminal()) return { [Symbol.dispose]() {} };
  let listening = true;
  const listen = async () => {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64);
    while (listening) {
      const count = await Deno.stdin.read(buffer);
      if (count === null) return;
      for (const key of decoder.decode(buffer.subarray(0, count), { stream: true })) {
        if (listening) onKey(key);
      }
    }
  };
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  void listen(); // a pending read ends with the process
  return {
    [Symbol.dispose]() {
      listening = false;
      Deno.stdin.setRaw(false);
    },
  };
}
