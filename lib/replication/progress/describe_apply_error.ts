/**
 * Changes that the tool itself could not apply, in words. Pure.
 *
 * @module
 */
import { displayName } from "../../core/internal.ts";
import type { ApplyError } from "../client/apply_record.ts";

/** What to do about a change that the tool could not apply. */
export function applyRemedy(lsn: string | null | undefined = "LSN"): string {
  return `remove the cause on the target, then run sync --retry; or skip the whole transaction with sync --skip-lsn ${
    lsn ?? "LSN"
  }, and repair with verify`;
}

/** What to do about changes that cannot be had any longer. */
export const resnapshotRemedy =
  "copy its tables again with sync --resnapshot TABLES (or '*'); other tables are not affected";

/** What to do about an error: only that of a change names a transaction. */
export function applyErrorRemedy(
  { finishLsn }: { readonly finishLsn?: string | null | undefined },
): string {
  return finishLsn === undefined || finishLsn === null ? resnapshotRemedy : applyRemedy(finishLsn);
}

/** The error in one line: the message, and which row it concerns. */
export function describeApplyError({ message, table, operation, key }: ApplyError): string {
  if (table === undefined) return message;
  const values = Object.entries(key ?? {}).map(([column, value]) =>
    `${column} = ${value ?? "NULL"}`
  );
  const row = values.length === 0 ? "" : ` with ${values.join(", ")}`;
  return `${message} (${operation ?? "a change"} of ${displayName(table)}${row})`;
}

/** Everything that is known, one line each. */
export function explainApplyError(error: ApplyError): readonly string[] {
  return [
    describeApplyError(error),
    ...error.details ?? [],
    ...(error.finishLsn === undefined ? [] : [
      `the transaction ends at ${error.finishLsn}: skip it with sync --skip-lsn ${error.finishLsn}`,
    ]),
  ];
}
