/**
 * What the role of one side may do. Pure.
 *
 * @module
 */
import { nameSome, plural } from "../../core/internal.ts";
import type { SideFacts } from "../facts/side_facts.ts";
import { checkSessions } from "./check_sessions.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** What the role needs on either side. */
export function checkRights(given: SideFacts, check: PreflightCheck): void {
  if (given.fenceKind === "sessions") checkSessions(given, check);
  else checkOwnership(given, check);
  checkSequenceRights(given, check);
  checkHiddenRows(given, check);
  if (!given.mayCreate && check.stage === "prepare") {
    check.findings.problem({
      side: given.side,
      message: "the role may not create schemas",
      remedy: "GRANT CREATE ON DATABASE to the role",
    });
  }
}

/** What moves clients away from the side in use by itself; the fence does not need it. */
export function checkRightsInUse(
  { side, fenceKind, ownsDatabase, maySignal }: SideFacts,
  { findings }: PreflightCheck,
): void {
  if (fenceKind !== "triggers") return;
  if (!ownsDatabase) {
    findings.warning({
      side,
      message: "the role does not own the database: it will not be marked read-only",
      remedy:
        "the fence refuses writes in any case, but clients with target_session_attrs=read-write do not move by themselves",
    });
  }
  if (!maySignal) {
    findings.warning({
      side,
      message:
        "the role may terminate only sessions of its own role and of roles that it is a member of",
      remedy: "GRANT pg_signal_backend to the role, or reconnect the other clients",
    });
  }
}

function checkOwnership(
  { side, notOwned }: SideFacts,
  { stage, findings }: PreflightCheck,
): void {
  if (notOwned.length === 0) return;
  const orSessions = side === "source" && stage === "prepare"
    ? "; or, weaker, --fence sessions, which ends sessions and does not stop one that turns read-only mode off"
    : "";
  findings.problem({
    side,
    message: `the role does not own ${plural(notOwned.length, "table")}: ${nameSome(notOwned)}`,
    remedy: `connect as their owner, or GRANT the owner's role to the role${orSessions}`,
  });
}

function checkSequenceRights({ side, sequences }: SideFacts, { findings }: PreflightCheck): void {
  if (sequences.length === 0) return;
  findings.problem({
    side,
    message: `the role may not read and set ${plural(sequences.length, "sequence")}: ${
      nameSome(sequences)
    }`,
    remedy: "GRANT SELECT, UPDATE on the sequences, and USAGE on their schemas, to the role",
  });
}

function checkHiddenRows(
  given: SideFacts,
  { facts, stage, findings }: PreflightCheck,
): void {
  const isFrom = given === facts.from;
  if (given.hiddenRows.length === 0 || isFrom && !facts.wayBack) return;
  findings.problem({
    side: given.side,
    message:
      `row-level security applies to the role that writes replicated changes here, which fails: ${
        nameSome(given.hiddenRows)
      }`,
    remedy:
      `ALTER TABLE … NO FORCE ROW LEVEL SECURITY, or ALTER ROLE … BYPASSRLS for the tables' owner${
        isFrom && stage === "prepare" ? "; or --way-back none" : ""
      }`,
  });
}
