/**
 * Statements that remove what an unreachable side has. Pure.
 *
 * @module
 */
import {
  applySchema,
  cutoverSchema,
  displayName,
  quoteIdentifier,
  quoteLiteral,
} from "../../core/internal.ts";
import {
  applyStreamTable,
  applyTableTable,
  heldTable,
  restoreIdentity,
} from "../../replication/internal.ts";
import type { SidedCutover } from "./find_cutovers.ts";
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
      "-- if a subscription applied the changes:",
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} DISABLE;`,
      `ALTER SUBSCRIPTION ${quoteIdentifier(name)} SET (slot_name = NONE);`,
      `DROP SUBSCRIPTION ${quoteIdentifier(name)};`,
      `-- if this tool applied them, once no sync is running:`,
      ...removeRecord(name),
      // the user might run, as a superuser, what another role has written
      ...(isTrusted ? scopeComment?.changedIdentities ?? [] : []).map((changed) =>
        `${restoreIdentity(changed)};`
      ),
    ];
  });
}

/** Statements that remove the record of a stream whose changes the tool applied. */
function removeRecord(name: string): readonly string[] {
  const stream = quoteLiteral(name).trim();
  return [
    `DELETE FROM ${applyTableTable} WHERE stream = ${stream};`,
    `DELETE FROM ${applyStreamTable} WHERE name = ${stream};`,
    // what it disabled or dropped could not be restored afterwards
    `-- if it was the last one, and ${heldTable} exists: run what it lists, first "restore", then "validate"`,
    `-- and, if it was the last one: DROP SCHEMA ${applySchema} CASCADE;`,
  ];
}

/** What cutovers have created on an unreachable source, by the records of the target. */
export function cutoversOnSource(cutovers: readonly SidedCutover[]): readonly string[] {
  return cutovers.filter(({ side }) => side === "target").flatMap(({ record }) => {
    const { source: { database }, back } = record.details;
    return [
      inDatabase(database),
      // an open target shows that it is closed, a closed one not that it is open
      ...endReadOnly(database),
      ...(back === null ? [] : [
        `ALTER SUBSCRIPTION ${quoteIdentifier(back)} DISABLE;`,
        `ALTER SUBSCRIPTION ${quoteIdentifier(back)} SET (slot_name = NONE);`,
        `DROP SUBSCRIPTION ${quoteIdentifier(back)};`,
      ]),
      dropCutoverSchema,
    ];
  });
}

/** What cutovers have created on an unreachable target, by the records of the source. */
export function cutoversOnTarget(cutovers: readonly SidedCutover[]): readonly string[] {
  return cutovers.filter(({ side }) => side === "source").flatMap((cutover) => {
    const { record, changedIdentities } = cutover;
    const { target: { database }, back } = record.details;
    return [
      inDatabase(database),
      // a rollback may have closed it; before the first switch only the fence does
      ...(record.generation > 0 ? endReadOnly(database) : []),
      ...(back === null ? [] : [
        `SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = ${
          quoteLiteral(back).trim()
        };`,
        `DROP PUBLICATION IF EXISTS ${quoteIdentifier(back)};`,
        ...changedIdentities.map((changed) => `${restoreIdentity(changed)};`),
      ]),
      dropCutoverSchema,
    ];
  });
}

/** Statements that end read-only mode, for the session that runs what follows and for new ones. */
function endReadOnly(database: string): readonly string[] {
  return [
    "SET default_transaction_read_only = off;",
    `ALTER DATABASE ${quoteIdentifier(database)} RESET default_transaction_read_only;`,
  ];
}

const dropCutoverSchema =
  `DROP SCHEMA IF EXISTS ${cutoverSchema} CASCADE; -- with the fence: the database accepts writes again`;

/** A one-line comment whatever the name: text after a line break would be SQL. */
function inDatabase(name: string): string {
  const line = displayName({ schema: "public", name }).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return `-- in database ${line}`;
}

function isApplier({ kind }: CleanupItem): boolean {
  return kind === "subscription" || kind === "apply-record";
}
