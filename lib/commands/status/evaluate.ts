/**
 * From facts to states and findings. Pure.
 *
 * @module
 */
import { formatBytes, formatDuration, plural, quoteIdentifier } from "../../core/internal.ts";
import type { Drift, StreamState } from "../../replication/internal.ts";
import type {
  DatabaseStatus,
  ServerStatus,
  SlotStatus,
  StatusCheck,
  StatusFinding,
  StatusLimits,
  StatusReport,
  StreamStatus,
} from "./report.ts";

/** Slots with less time than this are told. */
const riskHours = 24;
/** Slots with less time than this are a problem. */
const urgentHours = 1;
/** A slot that is further behind does not move on as fast as WAL is written. */
const stayingSeconds = 60;
/** Slots with less room than this part of what they may keep are told. */
const riskFraction = 0.25;
/** A slot that nobody reads and that keeps more than this is told. */
const idleRetainedBytes = 1024 ** 3;

/** Everything about one stream that somebody should look at. */
export function streamFindings(
  stream: StreamStatus,
  { database, isPublicationKnown }: {
    readonly database: string | null;
    readonly isPublicationKnown: boolean;
  },
): readonly StatusFinding[] {
  const { name, state, slot, subscription, publication } = stream;
  const finding = (
    id: string,
    side: StatusFinding["side"],
    [severity, message, remedy]: readonly [StatusFinding["severity"], string, string],
  ): StatusFinding => ({ id, severity, side, database, stream: name, message, remedy });
  const quoted = quoteIdentifier(name);
  const errors = subscription?.applyErrors ?? 0;
  const findings: StatusFinding[] = [];
  const states: Partial<Record<StreamState, StatusFinding>> = {
    "lost": finding("slot-lost", "source", [
      "problem",
      `the server has given the slot up (${
        slot?.invalidationReason ?? "wal_status is lost"
      }): changes are missing on the target`,
      "sync --resnapshot copies the tables again; raise max_slot_wal_keep_size before",
    ]),
    "no-slot": finding("slot-missing", "source", [
      "problem",
      "the subscription's slot is not there: changes since it was dropped are missing on the target",
      "sync --resnapshot copies the tables again",
    ]),
    "no-subscription": finding("subscription-missing", "target", [
      "problem",
      "nobody reads the slot, which keeps WAL on the source: init still runs, or was interrupted",
      "sync takes the slot over; cleanup removes it",
    ]),
    "detached": finding("subscription-detached", "target", [
      "problem",
      "the subscription was taken off its slot (slot_name = NONE)",
      "cleanup removes it",
    ]),
    "disabled": finding("subscription-disabled", "target", [
      "problem",
      "the subscription is disabled; the slot keeps WAL on the source meanwhile",
      `ALTER SUBSCRIPTION ${quoted} ENABLE; or sync`,
    ]),
    "failing": finding("apply-failing", "target", [
      "problem",
      (errors > 0 ? plural(errors, "apply error") : "errors are not counted before version 15") +
      (subscription?.enabled === false
        ? "; the last one has disabled the subscription"
        : "; the worker starts again and again, and nothing is applied"),
      "sync shows the transaction and what is in its way, the target's log the error; remove the cause, or leave the transaction out with sync --skip-lsn",
    ]),
    "stopped": finding("apply-stopped", "target", [
      "problem",
      "no apply worker runs: it meets an error, cannot reach the source, or workers are used up",
      "sync shows the transaction and what is in its way, the target's log the error; max_logical_replication_workers and max_worker_processes limit the workers",
    ]),
    "blocked": finding("apply-blocked", "target", [
      "warning",
      `the apply worker waits for a lock of ${
        (subscription?.blockedBy ?? []).map(({ pid, user, application, transactionSeconds }) =>
          `pid ${pid}` +
          (user === null ? "" : ` (${[user, application].filter(Boolean).join(", ")}` +
            (transactionSeconds === null
              ? ")"
              : `, ${formatDuration(transactionSeconds * 1000)} in its transaction)`))
        ).join(", ")
      }`,
      "end that transaction, or wait",
    ]),
  };
  const own = states[state];
  if (own !== undefined) findings.push(own);
  if (slot !== null && state !== "lost") findings.push(...riskFindings(slot, { finding, stream }));
  if (slot !== null && isPublicationKnown && publication === null) {
    findings.push(finding("publication-missing", "source", [
      "problem",
      `publication ${quoted} is not there: the walsender fails at the next change`,
      "sync makes it again where it can; else start over",
    ]));
  }
  const unready = subscription?.tables.filter((table) => table.state !== "ready") ?? [];
  if (unready.length > 0) {
    findings.push(finding("tables-not-ready", "target", [
      "problem",
      `${plural(unready.length, "table")} not ready: the server copies on its own`,
      "wait; see the list of tables",
    ]));
  }
  const conflicts = Object.entries(subscription?.conflicts ?? {});
  if (conflicts.length > 0) {
    findings.push(finding("conflicts", "target", [
      "warning",
      `conflicts: ${conflicts.map(([kind, count]) => `${kind} ${count}`).join(", ")}`,
      "somebody else writes to the target, or rows differ: the target's log names table and key; verify finds the rows",
    ]));
  }
  if (errors > 0 && state !== "failing") {
    findings.push(finding("apply-errors", "target", [
      "warning",
      `${plural(errors, "apply error")} since statistics were reset`,
      "the target's log names table and key; a lost connection counts too",
    ]));
  }
  return findings;
}

type MakeFinding = (
  id: string,
  side: StatusFinding["side"],
  rest: readonly [StatusFinding["severity"], string, string],
) => StatusFinding;

function riskFindings(
  slot: SlotStatus,
  { finding, stream: { state, lagSeconds } }: {
    readonly finding: MakeFinding;
    readonly stream: StreamStatus;
  },
): readonly StatusFinding[] {
  const { walStatus, safeWalBytes, retainedBytes, hoursUntilLost: hours } = slot;
  const remedy =
    "let the target catch up, or raise max_slot_wal_keep_size on the source while its disk allows it";
  if (walStatus === "unreserved") {
    return [finding("slot-at-risk", "source", [
      "problem",
      "the slot needs WAL that the next checkpoint may remove (wal_status is unreserved)",
      remedy,
    ])];
  }
  const fraction = safeWalBytes === null || retainedBytes === null
    ? 1
    : safeWalBytes / Math.max(1, safeWalBytes + retainedBytes);
  // a slot that keeps up moves on with the WAL, however fast that is written
  const stays = !slot.active || (lagSeconds ?? 0) > stayingSeconds;
  const soon = stays && hours !== null && hours < riskHours;
  if (safeWalBytes !== null && (soon || fraction < riskFraction)) {
    const time = hours === null ? "" : `, ${formatDuration(hours * 3_600_000)} at the current rate`;
    return [finding("slot-at-risk", "source", [
      hours !== null && hours < urgentHours && fraction < riskFraction ? "problem" : "warning",
      `the slot is lost when ${formatBytes(safeWalBytes)} more WAL are written${time}`,
      remedy,
    ])];
  }
  if (!slot.active && (retainedBytes ?? 0) > idleRetainedBytes && state !== "no-subscription") {
    return [finding("slot-inactive", "source", [
      "warning",
      `nobody reads the slot, and it keeps ${
        formatBytes(retainedBytes ?? 0)
      } of WAL on the source's disk`,
      "see to it that the subscription runs, or remove it with cleanup",
    ])];
  }
  return [];
}

/** Drift as findings. */
export function driftFindings(
  drift: readonly Drift[],
  database: string | null,
): readonly StatusFinding[] {
  return drift.map(({ kind, severity, message, remedy }) => ({
    id: kind,
    severity,
    side: "target",
    database,
    stream: null,
    message,
    remedy,
  }));
}

/** Objects listed in one finding. */
const maxSetAside = 5;

/** Objects that `init` set aside and no later run has created. */
export function setAsideFindings(
  objects: readonly string[],
  database: string | null,
): readonly StatusFinding[] {
  if (objects.length === 0) return [];
  const more = objects.length > maxSetAside ? ", …" : "";
  return [{
    id: "objects-set-aside",
    severity: "warning",
    side: "target",
    database,
    stream: null,
    message: `${plural(objects.length, "object")} set aside by init, still to be created: ${
      objects.slice(0, maxSetAside).join(", ")
    }${more}`,
    remedy:
      "remove the causes and run the same init command again: it creates only what is missing (docs/guides/set-aside.md)",
  }];
}

/** That a server is out of reach, or that there is nothing to see. */
export function serverFindings(
  { source, target, databases }: {
    readonly source: ServerStatus;
    readonly target: ServerStatus;
    readonly databases: readonly DatabaseStatus[];
  },
): readonly StatusFinding[] {
  const findings: StatusFinding[] = [];
  for (const [side, server] of [["source", source], ["target", target]] as const) {
    if (server.reachable) continue;
    findings.push({
      id: `${side}-unreachable`,
      severity: "problem",
      side,
      database: null,
      stream: null,
      message: `the ${side} is out of reach: ${server.problem ?? "no answer"}`,
      remedy: side === "source"
        ? "lag and slots cannot be told until it is back"
        : "workers and errors cannot be told until it is back; the slots keep WAL meanwhile",
    });
  }
  if (databases.length === 0 && findings.length === 0) {
    findings.push({
      id: "no-replication",
      severity: "problem",
      side: "source",
      database: null,
      stream: null,
      message: "there is no replication between these servers",
      remedy: "init --enable-sync sets it up",
    });
  }
  return findings;
}

/** Problems first. */
export function sortFindings(findings: readonly StatusFinding[]): readonly StatusFinding[] {
  const rank = ({ severity }: StatusFinding) => severity === "problem" ? 0 : 1;
  return [...findings].sort((a, b) => rank(a) - rank(b));
}

/**
 * Whether all is well and within the limits; else every reason. Lag that cannot be told is no lag
 * within limits.
 */
export function checkStatus(
  { databases, findings }: StatusReport,
  { maxLagBytes, maxLagSeconds }: StatusLimits,
): StatusCheck {
  const reasons = findings.filter(({ severity }) => severity === "problem").map((finding) => {
    const where = [finding.database, finding.stream].filter((part) => part !== null).join(", ");
    return where === "" ? finding.message : `${where}: ${finding.message}`;
  });
  for (const { source, target, streams } of databases) {
    for (const { name, lagBytes, lagSeconds } of streams) {
      const where = `${source ?? target}, ${name}`;
      if (maxLagBytes !== undefined && (lagBytes ?? Infinity) > maxLagBytes) {
        reasons.push(
          lagBytes === null
            ? `${where}: the lag in bytes cannot be told`
            : `${where}: ${formatBytes(lagBytes)} behind, more than ${formatBytes(maxLagBytes)}`,
        );
      }
      if (maxLagSeconds !== undefined && (lagSeconds ?? Infinity) > maxLagSeconds) {
        reasons.push(
          lagSeconds === null
            ? `${where}: the lag in seconds cannot be told`
            : `${where}: ${formatDuration(lagSeconds * 1000)} behind, more than ${
              formatDuration(maxLagSeconds * 1000)
            }`,
        );
      }
    }
  }
  return { ok: reasons.length === 0, reasons };
}
