/**
 * Host names that do not exist.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { errorMessage } from "../../core/internal.ts";

/** The resolver has answered that there is no such host. */
export class UnknownHostError extends Error {
  override readonly name = "UnknownHostError";
}

/**
 * The error of a connection that was not made: {@linkcode UnknownHostError} if that was because the
 * name does not exist. The runtime's own error does not distinguish this from a resolver that
 * cannot be reached.
 */
export async function explainUnknownHost(error: unknown, host: string): Promise<unknown> {
  // errors of the network have a class of their own
  if (!(error instanceof Error) || error.constructor !== Error) return error;
  try {
    await lookup(host);
    return error;
  } catch (found) {
    const unknown = found instanceof Error && "code" in found && found.code === "ENOTFOUND";
    return unknown ? new UnknownHostError(errorMessage(error), { cause: error }) : error;
  }
}
