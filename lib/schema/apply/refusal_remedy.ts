/**
 * Remedies for schema statements that the target refused. Pure.
 *
 * @module
 */
import { SqlState } from "../../postgres/internal.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";

const syntaxError = "42601";

/** The remedy, if one is known; it depends on which side is older. */
export function remedyFor(
  { type }: DumpStatement,
  { sqlState, targetIsOlder }: { readonly sqlState: string; readonly targetIsOlder: boolean },
): string | undefined {
  if (type === "EXTENSION") {
    return sqlState === SqlState.insufficientPrivilege
      ? "have an administrator create the extension on the target, and run the command again"
      : "install the extension on the target server, or drop it on the source if it is not used";
  }
  if (sqlState === syntaxError || sqlState === SqlState.featureNotSupported) {
    return targetIsOlder
      ? "the target is too old for this: use a target at least as new as the source"
      : "the target's version interprets this differently or no longer supports it: change the object on the source, or drop it there " +
        "if it is not used, and run the command again";
  }
  return sqlState === SqlState.insufficientPrivilege
    ? "connect to the target as a role with the required privileges"
    : undefined;
}
