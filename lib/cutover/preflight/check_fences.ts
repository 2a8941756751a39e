/**
 * Whether the fence covers what is replicated, on both sides. Pure.
 *
 * After a switch there is no `prepare`: what is wrong is corrected by hand, or the way back is
 * lost.
 *
 * @module
 */
import {
  nameSome,
  quoteIdentifier,
  quoteQualified,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { createFence, dropFence, enableFence } from "../fence.ts";
import { type PreflightCheck, prepareAgain } from "./preflight_check.ts";

/** The fence that `prepare` has created. */
export function checkFences(check: PreflightCheck): void {
  checkFencedTables(check);
  checkTriggers(check);
  checkFunctions(check);
  checkClosed(check);
}

function checkFencedTables({ facts, findings }: PreflightCheck): void {
  const { from, tables, gone, carried, incomplete } = facts;
  if (gone.length > 0) {
    findings.warning({
      message: `tables were dropped or renamed on both sides since cutover prepare: ${
        nameSome(gone)
      }`,
      remedy: "nothing is to be done: the switch leaves the old names out",
    });
  }
  const isWayBack = from.side === "target";
  const fenced = new Set(tables.map((table) => tableKey(table)));
  const added = carried.filter((table) => !fenced.has(tableKey(table)));
  // one that was renamed on this side only has a new name in the publication
  if (added.length > 0 && from.missing.length === 0) {
    findings.problem({
      message: `tables were added to replication: ${nameSome(added)}`,
      remedy: isWayBack
        ? `on the target: ${
          facts.streams.map(({ name }) =>
            `ALTER PUBLICATION ${quoteIdentifier(name)} DROP TABLE ${quoteTables(added)};`
          ).join(" ")
        }`
        : prepareAgain(facts),
    });
  }
  // what is being copied again, and what no longer exists here, is reported as such
  const kept = new Set(
    [...carried, ...from.missing, ...incomplete.flatMap((stream) => stream.tables)]
      .map((table) => tableKey(table)),
  );
  const lost = tables.filter((table) => !kept.has(tableKey(table)));
  if (lost.length > 0) {
    findings.problem({
      message: `tables are no longer replicated: ${nameSome(lost)}`,
      remedy: isWayBack
        ? "the source lacks their changes: the way back cannot be repaired; cutover finish gives it up"
        : `copy them with sync --resnapshot, then ${
          prepareAgain(facts)
        }; to leave them out, run cutover prepare only`,
    });
  }
}

function checkTriggers({ facts, findings }: PreflightCheck): void {
  for (const { side, fence, missing, fenceKind } of [facts.from, facts.to]) {
    if (fenceKind === "sessions") continue;
    const existing = new Set([...fence, ...missing].map((table) => tableKey(table)));
    const without = facts.tables.filter((table) => !existing.has(tableKey(table)));
    if (without.length === 0) continue;
    const isClosed = side === facts.to.side;
    findings.problem({
      side,
      message: `no fence exists on ${nameSome(without)}${
        isClosed ? ": clients may have written to this side" : ""
      }`,
      remedy: facts.from.side === "source" ? prepareAgain(facts) : byHand(without, {
        isClosed,
        side,
        statementsOf: (table) => [
          // one of its triggers may be left
          ...dropFence(table),
          ...createFence(table).map((statement) => statement.replaceAll(/\s+/g, " ")),
          ...(isClosed ? [enableFence(table)] : []),
        ],
      }),
    });
  }
}

/** The way back has no `prepare` that could replace the function. */
function checkFunctions({ facts, findings }: PreflightCheck): void {
  const { from, to } = facts;
  const message =
    "the function of the fence was created by another version of this tool, or has been changed since";
  if (from.side === "target") {
    if (!from.isFenceOutdated) return;
    findings.warning({
      side: from.side,
      message,
      remedy: "once the source is in use again, cutover prepare replaces it",
    });
    return;
  }
  const remedy = `${prepareAgain(facts)}: it replaces the function`;
  for (const { side, isFenceOutdated } of [from, to]) {
    if (isFenceOutdated) findings.problem({ side, message, remedy });
  }
}

function checkClosed({ facts, findings }: PreflightCheck): void {
  const { side, fence } = facts.to;
  // others are not part of the switch
  const inScope = new Set(facts.tables.map((table) => tableKey(table)));
  const open = fence.filter((table) => !table.isClosed && inScope.has(tableKey(table)));
  if (open.length === 0) return;
  findings.problem({
    side,
    message: `the fence is disabled on ${nameSome(open)}: clients may have written to this side`,
    remedy: facts.from.side === "source"
      ? `compare both sides with verify, then ${prepareAgain(facts)}`
      : byHand(open, { isClosed: true, side, statementsOf: (table) => [enableFence(table)] }),
  });
}

/** For so many tables the statements are printed. */
const maxTables = 10;

function byHand(
  tables: readonly TableName[],
  { side, isClosed, statementsOf }: {
    readonly side: "source" | "target";
    readonly isClosed: boolean;
    readonly statementsOf: (table: TableName) => readonly string[];
  },
): string {
  const statements = [
    ...(isClosed ? ["SET default_transaction_read_only = off"] : []),
    ...tables.slice(0, maxTables).flatMap(statementsOf),
  ];
  return [
    ...(isClosed ? ["compare both sides with verify; "] : []),
    `on the ${side}: `,
    statements.map((statement) => `${statement};`).join(" "),
    ...(tables.length > maxTables ? [" and so on for the other tables"] : []),
  ].join("");
}

function quoteTables(tables: readonly TableName[]): string {
  return tables.map(({ schema, name }) => quoteQualified(schema, name)).join(", ");
}
