import type { Terminal } from "./terminal.ts";

/**
 * Asks a question on stderr that is answered with yes only by `y` or `yes`; anything else, also the
 * end of the input, is no.
 *
 * @throws the signal's reason when it is aborted while waiting
 */
export async function askYesNo(
  question: string,
  { terminal, signal }: { readonly terminal: Terminal; readonly signal: AbortSignal },
): Promise<boolean> {
  signal.throwIfAborted();
  terminal.stderr.write(`${question} [y/N] `);
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    terminal.stderr.write("\n");
    aborted.reject(signal.reason);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    const answer = await Promise.race([terminal.readLine(), aborted.promise]);
    return /^\s*y(es)?\s*$/i.test(answer ?? "");
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
