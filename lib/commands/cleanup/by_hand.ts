/**
 * Statements that remove what an unreachable side has. Pure.
 *
 * @module
 */
import { displayName, quoteIdentifier, quoteLiteral } from "../../core/internal.ts";
import { restoreIdentity } from "../../replication/internal.ts";
import { type SourceFindings, type TargetFindings } from "./find.ts";
import type { CleanupItem } from "./report.ts";

/** What remains on an unreachable source. */
export function leftOnSource(
  items: readonly CleanupItem[],
  target: TargetFindings | undefined,
): readonly string[] {
  return items.filter(isApplier).flatMap(({ name, database }) => {
    const { scopeComment } = target?.appliers.find((each) =>
      each.name === name && each.database === database
    ) ?? {};
    return [
      ...(scopeComment === undefined ? [] : [inDatabase(scopeComment.source.database)]),
      `SELECT pg_catalog.pg_drop_replication_slot(${quoteLiteral(name).trim()});`,
      `DROP PUBLICATION ${quoteIdentifier(name)};`,
      ...(scopeComment?.changedIdentities ?? []).map((changed) => `${restoreIdentity(changed)};`),
    ];
  });
}

/** What remains on an unreachable target. */
export function leftOnTarget(
  items: readonly CleanupItem[],
  source: SourceFindings | undefined,
): readonly string[] {
  return items.filter(({ kind }) => kind === "slot").flatMap(({ name, database }) => {
    const { scopeComment, isTrusted = false } = source?.publications.find((each) =>
      each.name === name && each.database === database
    ) ?? {};
    return [
      ...(scopeComment === undefined ? [] : [inDatabase(scopeComment.target.database)]),
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} DISABLE;`,
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET (slot_name = NONE);`,
      `DROP SUBSCRIPTION ${quoteIdentifier(name)};`,
      // the user might run, as a superuser, what another role has written
      ...(isTrusted ? scopeComment?.changedIdentities ?? [] : []).map((changed) =>
        `${restoreIdentity(changed)};`
      ),
    ];
  });
}

/** A one-line comment whatever the name: text after a line break would be SQL. */
function inDatabase(name: string): string {
  const line = displayName({ schema: "public", name }).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return `-- in database ${line}`;
}

function isApplier({ kind }: CleanupItem): boolean {
  return kind === "subscription" || kind === "apply-record";
}
