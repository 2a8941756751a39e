/**
 * Host names that do not exist.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { errorMessage } from "../../core/internal.ts";

/** The resolver knows no host of that name. */
export class UnknownHostError extends Error {
  override readonly name = "UnknownHostError";
}

/**
 * The error of a connection that was not made: {@linkcode UnknownHostError} if that was because the
 * name does not exist. The runtime's own error does not distinguish this from a resolver that
 * cannot be reached.
 *
 * @throws the signal's reason if it aborts first: the resolver may take long to answer again
 */
export async function explainUnknownHost(
  error: unknown,
  { host, signal, find = lookup }: {
    readonly host: string;
    readonly signal: AbortSignal;
    /** @default lookup of node:dns */
    readonly find?: (host: string) => Promise<unknown>;
  },
): Promise<unknown> {
  // errors of the network have a class of their own
  if (!(error instanceof Error) || error.constructor !== Error) return error;
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([find(host), aborted.promise]);
    return error;
  } catch (found) {
    signal.throwIfAborted();
    const unknown = found instanceof Error && "code" in found && found.code === "ENOTFOUND";
    return unknown ? new UnknownHostError(errorMessage(error), { cause: error }) : error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
