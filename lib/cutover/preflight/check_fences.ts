/**
 * Whether the fence covers what is replicated, on both sides. Pure.
 *
 * @module
 */
import { nameSome, tableKey } from "../../core/internal.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** The fence that `prepare` has created. */
export function checkFences(check: PreflightCheck): void {
  checkFencedTables(check);
  checkTriggers(check);
  checkFunctions(check);
  checkClosed(check);
}

function checkFencedTables({ facts, findings }: PreflightCheck): void {
  const { tables, carried, incomplete } = facts;
  const remedy = prepareAgain(facts);
  const fenced = new Set(tables.map((table) => tableKey(table)));
  const added = carried.filter((table) => !fenced.has(tableKey(table)));
  if (added.length > 0) {
    findings.problem({ message: `tables were added to replication: ${nameSome(added)}`, remedy });
  }
  // those that are being copied again are reported as such
  const kept = new Set(
    [...carried, ...incomplete.flatMap((stream) => stream.tables)].map((table) => tableKey(table)),
  );
  const lost = tables.filter((table) => !kept.has(tableKey(table)));
  if (lost.length > 0) {
    findings.problem({ message: `tables are no longer replicated: ${nameSome(lost)}`, remedy });
  }
}

function checkTriggers({ facts, findings }: PreflightCheck): void {
  for (const { side, fence, missing, fenceKind } of [facts.from, facts.to]) {
    if (fenceKind === "sessions") continue;
    const existing = new Set([...fence, ...missing].map((table) => tableKey(table)));
    const without = facts.tables.filter((table) => !existing.has(tableKey(table)));
    if (without.length > 0) {
      findings.problem({
        side,
        message: `no fence exists on ${nameSome(without)}`,
        remedy: prepareAgain(facts),
      });
    }
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
  const open = fence.filter(({ isClosed }) => !isClosed);
  if (open.length === 0) return;
  findings.problem({
    side,
    message: `the fence is disabled on ${nameSome(open)}: clients may have written to this side`,
    remedy: `compare both sides with verify, then ${prepareAgain(facts)}`,
  });
}

function prepareAgain({ database }: PreflightCheck["facts"]): string {
  return `run cutover prepare again for ${database}`;
}
