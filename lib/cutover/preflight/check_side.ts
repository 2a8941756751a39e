/**
 * Whether one side can be closed or opened. Pure.
 *
 * @module
 */
import { formatDuration, nameSome, plural, quoteLiteral, type Side } from "../../core/internal.ts";
import type { PreflightFacts } from "../facts/preflight_facts.ts";
import type { SideFacts } from "../facts/side_facts.ts";
import { checkRights, checkRightsInUse } from "./check_rights.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** One side, the one in use or the one that will be opened. */
export function checkSide(side: SideFacts, check: PreflightCheck): void {
  checkServer(side, check);
  checkRights(side, check);
  checkBarrier(side, check);
  if (side === check.facts.from) {
    checkOldTransactions(side, check);
    checkRightsInUse(side, check);
  } else if (check.facts.wayBack && check.stage === "prepare") {
    checkRoomForWayBack(side, check);
  }
}

/** Whether it is the right server, and has what a switch needs. */
function checkServer(
  { side, isStandby, hasPlpgsql, missing }: SideFacts,
  { facts, findings }: PreflightCheck,
): void {
  if (isStandby) {
    findings.problem({
      side,
      message: "the server is a standby",
      remedy: "connect to the primary",
    });
  }
  if (!hasPlpgsql) {
    findings.problem({
      side,
      message: "the language plpgsql is missing",
      remedy: "CREATE EXTENSION plpgsql;",
    });
  }
  if (missing.length > 0) {
    findings.problem({
      side,
      message: `tables are missing: ${nameSome(missing)}`,
      remedy: missingRemedy(side, facts),
    });
  }
}

/** The way back has no `sync` that would copy a table again. */
function missingRemedy(side: Side, { from }: PreflightFacts): string {
  if (side === from.side) {
    return side === "source"
      ? "if they were dropped or renamed on purpose, drop or rename them on the target too"
      : "if they were dropped or renamed on purpose, drop or rename them on the source too, where a session may do so after SET default_transaction_read_only = off";
  }
  return side === "target"
    ? "see status for the drift"
    : "the way back cannot be repaired: cutover finish gives it up; or, if they are no longer needed, drop them on the target too";
}

/** What could refuse the barrier its locks, or run while it holds them. */
function checkBarrier(
  given: SideFacts,
  { facts, stage, findings }: PreflightCheck,
): void {
  const { side, eventTriggers, maxLocks, prepared } = given;
  if (eventTriggers.length > 0 && stage === "switch") {
    findings.warning({
      side,
      message: `event triggers fire for ALTER TABLE while writers wait: ${
        eventTriggers.join(", ")
      }`,
      remedy: "disable them until the switch is complete: one that fails abandons it",
    });
  }
  // each table, its indexes' share of the queue, and the triggers
  const locks = facts.tables.length * 2 + 64;
  if (maxLocks < locks) {
    findings.problem({
      side,
      message: `${
        plural(facts.tables.length, "table")
      } require more locks than the server has room for (${maxLocks})`,
      remedy: "raise max_locks_per_transaction (needs a restart)",
    });
  }
  for (const identifier of prepared) {
    const gid = quoteLiteral(identifier).trim();
    findings[given === facts.from ? "problem" : "warning"]({
      side,
      message: `the prepared transaction ${gid} may hold locks that the barrier needs`,
      remedy: `COMMIT PREPARED ${gid}; or ROLLBACK PREPARED ${gid};`,
    });
  }
}

const maxTransactions = 5;

function checkOldTransactions(
  { side, oldTransactions }: SideFacts,
  { findings }: PreflightCheck,
): void {
  for (const { pid, user, state, ageMs } of oldTransactions.slice(0, maxTransactions)) {
    const client = [user, state].filter((part) => part !== undefined).join(", ");
    findings.warning({
      side,
      message: `a transaction is ${formatDuration(ageMs)} old: pid ${pid} (${client})`,
      remedy: "if it has written to a table in scope, the switch cannot begin before it ends",
    });
  }
}

function checkRoomForWayBack(
  { side, walLevel, freeSlots }: SideFacts,
  { findings }: PreflightCheck,
): void {
  if (walLevel !== "logical") {
    findings.problem({
      side,
      message: `wal_level is ${walLevel}, but the way back requires logical`,
      remedy: "ALTER SYSTEM SET wal_level = logical (needs a restart); or --way-back none",
    });
  } else if (freeSlots < 1) {
    findings.problem({
      side,
      message: "no replication slot is free for the way back",
      remedy: "raise max_replication_slots (needs a restart)",
    });
  }
}
