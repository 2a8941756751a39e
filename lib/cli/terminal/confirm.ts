import { printable } from "../../ui/mod.ts";
import type { Terminal } from "./terminal.ts";

/** Where a question is asked, and what ends it. */
export interface AskOptions {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Asks a question on stderr. Only `y` and `yes` mean yes; anything else, including the end of the
 * input, means no.
 *
 * @throws the signal's reason if it is aborted meanwhile
 */
export async function askYesNo(question: string, options: AskOptions): Promise<boolean> {
  return /^\s*y(es)?\s*$/i.test(await ask(`${question} [y/N] `, options) ?? "");
}

/**
 * Asks for the name of what will be lost. Anything else, including the end of the input, means no.
 *
 * @throws the signal's reason if it is aborted meanwhile
 */
export async function askName(name: string, options: AskOptions): Promise<boolean> {
  const question = `Type the name of the database to drop, ${printable(name)}: `;
  return (await ask(question, options))?.trim() === name.trim();
}

async function ask(
  question: string,
  { terminal, signal }: AskOptions,
): Promise<string | undefined> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    terminal.stderr.write("\n");
    aborted.reject(signal.reason);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([terminal.ask(question), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
