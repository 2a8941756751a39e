import type { Terminal } from "./terminal.ts";

/**
 * Asks a question on stderr. Only `y` and `yes` mean yes; anything else, including the end of the
 * input, means no.
 *
 * @throws the signal's reason if it is aborted meanwhile
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
