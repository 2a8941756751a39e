/**
 * What to do about a statement of the schema that the target refused. Pure.
 *
 * @module
 */
import { SqlState } from "../postgres/internal.ts";
import type { DumpStatement } from "./dump_reader.ts";

const syntaxError = "42601";

/** The remedy, if one is known; whether the target is older decides on which side it lies. */
export function remedyFor(
  { type }: DumpStatement,
  sqlState: string,
  targetIsOlder: boolean,
): string | undefined {
  if (type === "EXTENSION") {
    return sqlState === SqlState.insufficientPrivilege
      ? "have an administrator of the target create the extension and start again"
      : "install the extension on the target's server, or drop it on the source if it is not used";
  }
  if (sqlState === syntaxError || sqlState === SqlState.featureNotSupported) {
    return targetIsOlder
      ? "the target is too old for this; use a target at least as new as the source"
      : "the target's version reads this differently or no longer has it: change the object on the source, or drop it there " +
        "if it is not used, and start again";
  }
  return sqlState === SqlState.insufficientPrivilege
    ? "connect to the target as a role that may do this"
    : undefined;
}
