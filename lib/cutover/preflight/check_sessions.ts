/**
 * Whether a side can be closed by its sessions. Pure.
 *
 * @module
 */
import { nameSome, plural } from "../../core/internal.ts";
import type { SessionFacts, SideFacts } from "../facts/side_facts.ts";
import { describeSessions, sessionFenceLimits } from "../session_fence.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** What takes the place of the fence where the role does not own the tables. */
export function checkSessions(given: SideFacts, check: PreflightCheck): void {
  const { side, sessions, notOwned } = given;
  if (sessions === undefined) return;
  check.findings.warning({
    side,
    message: `the role does not own ${
      plural(notOwned.length, "table")
    }: the side is ${sessionFenceLimits}`,
    remedy:
      "cutover status shows what was written to the closed side; a role that owns the tables closes it reliably",
  });
  checkMeans(given, check);
  if (given === check.facts.from) checkKept({ side, ...sessions }, check);
  checkSessionRoles({ side, ...sessions }, check);
}

type SessionSide = SessionFacts & Pick<SideFacts, "side">;

/** The read-only default, and ending sessions, which it does not change. */
function checkMeans(
  { side, ownsDatabase, maySignal }: SideFacts,
  { findings }: PreflightCheck,
): void {
  if (!ownsDatabase) {
    findings.problem({
      side,
      message:
        "the role does not own the database, which --fence sessions makes read-only by default",
      remedy: "connect as its owner, or ALTER DATABASE … OWNER TO the role",
    });
  }
  if (!maySignal) {
    findings.problem({
      side,
      message:
        "the role may terminate only sessions of its own role and of roles that it is a member of; --fence sessions terminates all",
      remedy: "GRANT pg_signal_backend to the role",
    });
  }
}

function checkKept({ side, kept }: SessionSide, { findings }: PreflightCheck): void {
  if (kept.length === 0) return;
  findings.problemOfSwitch({
    side,
    message: `the role may not terminate sessions of superusers: ${describeSessions(kept)}`,
    remedy: "end them, or let a superuser run SELECT pg_catalog.pg_terminate_backend(pid)",
  });
}

/** Roles that would stay writable, and what the tool's own role may not do. */
function checkSessionRoles(
  { side, writableRoles, withoutGrants }: SessionSide,
  { facts, findings }: PreflightCheck,
): void {
  if (writableRoles.length > 0) {
    findings.problem({
      side,
      message: `roles have a read-only default of their own, which precedes the database's: ${
        writableRoles.join(", ")
      }`,
      remedy: `ALTER ROLE … RESET default_transaction_read_only; also … IN DATABASE …`,
    });
  }
  if (withoutGrants.length > 0 && facts.wayBack) {
    findings.problem({
      side,
      message: `the role may not read and change ${
        plural(withoutGrants.length, "table")
      }, which the way back needs: ${nameSome(withoutGrants)}`,
      remedy:
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE on the tables to the role; or --way-back none",
    });
  }
}
