/**
 * Derives findings from facts. Pure.
 *
 * @module
 */
import {
  applySchema,
  formatBytes,
  formatDuration,
  plural,
  quoteIdentifier,
  type Side,
} from "../../core/internal.ts";
import {
  closedSideIn,
  contradictionMessage,
  contradictionRemedy,
  countingSide,
  describeRefusals,
  describeUnfinished,
  judgeKeptSlot,
  type KeptSlot,
  refusalsRemedy,
  unfinishedSwitchRemedy,
  wayBackRemedy,
} from "../../cutover/internal.ts";
import {
  applyErrorRemedy,
  applyRemedy,
  brokenStreamStates,
  type Drift,
  type StreamJudgement,
  type StreamState,
} from "../../replication/internal.ts";
import type { HiddenSchema } from "./facts.ts";
import type {
  ClientStatus,
  DatabaseStatus,
  ServerStatus,
  SlotStatus,
  StatusCheck,
  StatusFinding,
  StatusLimits,
  StatusReport,
  StreamStatus,
  WayBackStatus,
} from "./report.ts";

/** A slot with less time than this is reported. */
const riskHours = 24;
/** A slot with less time than this is a problem. */
const urgentHours = 1;
/** A slot that lags more than this does not keep up with the WAL being written. */
const keepsUpSeconds = 60;
/** A slot with less than this fraction of its allowed WAL left is reported. */
const riskFraction = 0.25;
/** An inactive slot that retains more than this is reported. */
const idleRetainedBytes = 1024 ** 3;

/** Everything about one stream that needs attention. */
export function streamFindings(
  stream: StreamStatus,
  { database, judgement, isPhaseHidden = false }: {
    readonly database: string | null;
    /** What `sync` would find; undefined if it could not read enough. */
    readonly judgement: StreamJudgement | undefined;
    /** Whether a cutover may have stopped the stream on purpose, and its records are hidden. */
    readonly isPhaseHidden?: boolean;
  },
): readonly StatusFinding[] {
  const { name, state, slot, subscription } = stream;
  const finding = (
    id: string,
    side: StatusFinding["side"],
    [severity, message, remedy]: readonly [StatusFinding["severity"], string, string],
  ): StatusFinding => ({
    id,
    severity,
    side,
    database,
    stream: name,
    message,
    remedy: isPhaseHidden ? hiddenPhaseRemedy : remedy,
  });
  const quoted = quoteIdentifier(name);
  const errors = subscription?.applyErrors ?? 0;
  const client = subscription?.client;
  const findings: StatusFinding[] = [];
  const decisive = judgement === undefined ? undefined : unresumable(judgement, stream);
  const states: Partial<Record<StreamState, StatusFinding>> = {
    "disabled": finding("subscription-disabled", "target", [
      "problem",
      "the subscription is disabled, and the slot retains WAL on the source",
      `run sync, or ALTER SUBSCRIPTION ${quoted} ENABLE;`,
    ]),
    "failing": finding("apply-failing", "target", [
      "problem",
      (errors > 0 ? plural(errors, "apply error") : "errors are not counted before version 15") +
      (subscription?.enabled === false
        ? "; the last one disabled the subscription"
        : "; the worker keeps restarting, and nothing is applied"),
      `sync shows the transaction and the conflict, the target's log the error; ${
        judgement?.reason === "apply-error" && judgement.remedy !== undefined
          ? judgement.remedy
          : "remove the cause, or skip the transaction with sync --skip-lsn"
      }`,
    ]),
    "stopped": finding("apply-stopped", "target", [
      "problem",
      "no apply worker is running: it fails, cannot reach the source, or no worker slot is free",
      "sync shows the transaction and the conflict, the target's log the error; max_logical_replication_workers and max_worker_processes limit the workers",
    ]),
    "blocked": finding("apply-blocked", "target", [
      "warning",
      `the apply worker is waiting for a lock held by ${
        (subscription?.blockedBy ?? []).map(({ pid, user, application, transactionSeconds }) =>
          `pid ${pid}` +
          (user === null ? "" : ` (${[user, application].filter(Boolean).join(", ")}` +
            (transactionSeconds === null
              ? ")"
              : `, ${formatDuration(transactionSeconds * 1000)} in its transaction)`))
        ).join(", ")
      }`,
      "end that transaction, or wait for it",
    ]),
  };
  const own = decisive !== undefined
    ? finding(...decisive)
    : client === undefined
    ? states[state]
    : clientStates(client, finding)[state] ?? states[state];
  if (own !== undefined) findings.push(own);
  if (slot !== null && state !== "lost") findings.push(...riskFindings(slot, { finding, stream }));
  const unready = subscription?.tables.filter((table) => table.state !== "ready") ?? [];
  if (unready.length > 0) {
    findings.push(finding("tables-not-ready", "target", [
      "problem",
      `${plural(unready.length, "table")} not ready: the server is copying rows itself`,
      "wait until the copy has finished",
    ]));
  }
  const conflicts = Object.entries(subscription?.conflicts ?? {});
  if (conflicts.length > 0) {
    findings.push(finding("conflicts", "target", [
      "warning",
      `conflicts: ${conflicts.map(([kind, count]) => `${kind} ${count}`).join(", ")}`,
      client === undefined
        ? "another client writes to the target, or rows differ: the target's log shows table and key; verify finds the rows"
        : "another client writes to the target, or rows differ: verify finds the rows",
    ]));
  }
  if (errors > 0 && state !== "failing") {
    findings.push(finding("apply-errors", "target", [
      "warning",
      client === undefined
        ? `${plural(errors, "apply error")} since the statistics were reset`
        : `${plural(errors, "change")} could not be applied at first, and stopped the stream`,
      client === undefined
        ? "the target's log shows table and key; lost connections count as well"
        : "verify finds rows that differ",
    ]));
  }
  return findings;
}

/** What keeps a stream from resuming as it is, if `sync` finds that something does. */
function unresumable(
  { reason, state, message, remedy = "" }: StreamJudgement,
  { name, slot, subscription }: StreamStatus,
): Parameters<MakeFinding> | undefined {
  switch (reason) {
    case "unfinished-copy":
    case "not-handed-over":
      if (slot?.active === true) {
        return ["subscription-missing", "target", [
          "problem",
          `the slot has no subscription, but is being read${
            slot.activePid === null ? "" : ` by pid ${slot.activePid}`
          } of the source: changes may be applied where this role does not see it`,
          "leave the slot alone; see pg_stat_activity on the source for the process",
        ]];
      }
      return ["subscription-missing", "target", [
        "problem",
        reason === "unfinished-copy"
          ? "not all rows are on the target: a copy is running or was interrupted; " +
            (slot === null ? "it has no slot" : "its slot retains WAL on the source")
          : "all rows are copied, but nothing applies the changes, and the slot retains WAL on the source",
        reason === "unfinished-copy"
          ? remedy
          : "run sync, which starts replication; or cleanup, to remove the slot",
      ]];
    case "slot-missing":
      return ["slot-missing", "source", [
        "problem",
        subscription === null
          ? message
          : "the subscription's slot does not exist: changes since it was dropped are missing on the target",
        remedy,
      ]];
    case "slot-lost":
      return ["slot-lost", "source", [
        "problem",
        `the server has invalidated the slot (${
          slot?.invalidationReason ?? "wal_status is lost"
        }): changes are missing on the target`,
        remedy,
      ]];
    case "publication-missing":
      return ["publication-missing", "source", [
        "problem",
        `publication ${
          quoteIdentifier(name)
        } does not exist: the walsender fails at the next change`,
        remedy,
      ]];
    case "detached":
      return ["subscription-detached", "target", [
        "problem",
        "the subscription was detached from its slot (slot_name = NONE)",
        remedy,
      ]];
    case "other-slot":
    case "other-publication":
      return ["subscription-altered", "target", ["problem", message, remedy]];
    case "unknown":
      return state !== "no-subscription" ? undefined : ["subscription-missing", "target", [
        "problem",
        "the slot has no subscription and retains WAL on the source; whether all rows are copied cannot be read",
        "run status with a role that may connect to the database of the source",
      ]];
    case "apply-error":
    case "disabled":
    case "enabled":
      return undefined;
  }
}

/** What would be right for a stream of its own could break a switched database. */
const hiddenPhaseRemedy =
  "a cutover may have stopped the stream on purpose: do not start, skip, copy again or remove anything before status can read the cutover's records";

/** The states that mean something else where the tool's own process applies the changes. */
function clientStates(
  { error }: ClientStatus,
  finding: MakeFinding,
): Partial<Record<StreamState, StatusFinding>> {
  return {
    "disabled": finding("subscription-disabled", "target", [
      "problem",
      "the stream was stopped, and the slot retains WAL on the source",
      "run sync, and keep it running",
    ]),
    "failing": finding("apply-failing", "target", [
      "problem",
      `a change cannot be applied: ${error?.message ?? "unknown"}`,
      error == null ? applyRemedy() : applyErrorRemedy(error),
    ]),
    "stopped": finding("apply-stopped", "target", [
      "problem",
      "no process applies the changes: sync was ended, or cannot reach the servers",
      "run sync again, and keep it running: it resumes where it was stopped",
    ]),
  };
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
    "let the target catch up, or raise max_slot_wal_keep_size on the source if its disk has room";
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
  // a slot that keeps up is not at risk, however fast WAL is written
  const fallsBehind = !slot.active || (lagSeconds ?? 0) > keepsUpSeconds;
  const soon = fallsBehind && hours !== null && hours < riskHours;
  if (safeWalBytes !== null && (soon || fraction < riskFraction)) {
    const time = hours === null ? "" : `, ${formatDuration(hours * 3_600_000)} at the current rate`;
    return [finding("slot-at-risk", "source", [
      hours !== null && hours < urgentHours && fraction < riskFraction ? "problem" : "warning",
      `the slot is lost after another ${formatBytes(safeWalBytes)} of WAL${time}`,
      remedy,
    ])];
  }
  if (!slot.active && (retainedBytes ?? 0) > idleRetainedBytes && state !== "no-subscription") {
    return [finding("slot-inactive", "source", [
      "warning",
      `the slot is inactive and retains ${
        formatBytes(retainedBytes ?? 0)
      } of WAL on the source's disk`,
      "get the subscription running, or remove it with cleanup",
    ])];
  }
  return [];
}

/** Turns drift into findings. */
export function driftFindings(
  drift: readonly Drift[],
  database: string | null,
  { isTargetInUse }: { readonly isTargetInUse: boolean },
): readonly StatusFinding[] {
  return drift.map(({ kind, severity, message, remedy }) => ({
    id: kind,
    severity,
    side: isTargetInUse ? "source" : "target",
    database,
    stream: null,
    message,
    // the target is as its users want it
    remedy: isTargetInUse
      ? "a cutover has put the target in use: to keep the way back, alter the source in the same way, after SET default_transaction_read_only = off"
      : remedy,
  }));
}

/** Objects listed in one finding. */
const maxSetAside = 5;

/** Reports objects that `init` set aside and no later run has created. */
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

/** Whether the streams to the target are stopped because the target is in use, by a cutover. */
export function isKeptForReturn({ cutover }: Pick<DatabaseStatus, "cutover">): boolean {
  return cutover != null && ["closing", "switched", "returning"].includes(cutover.phase);
}

/** Whether a switch has stopped the streams, or is turning them around. */
export function isStoppedOnPurpose(status: Pick<DatabaseStatus, "cutover">): boolean {
  return isKeptForReturn(status) || status.cutover?.unfinished?.isTurning === true;
}

/**
 * Reports a source that a cutover has closed while the target cannot be asked whether it is open.
 */
export function closedSourceFindings(
  { source, target, cutover }: Pick<DatabaseStatus, "source" | "target" | "cutover">,
): readonly StatusFinding[] {
  return cutover != null ? [] : [{
    id: "cutover-unknown",
    severity: "warning",
    side: "source",
    database: source ?? target,
    stream: null,
    message: "a cutover has closed the source; whether the target is in use cannot be read",
    remedy:
      "connect to the target and run status again; the streams are stopped on purpose, so do not start them",
  }];
}

/** Reports writes that were refused, and a cutover that stands between two states. */
export function cutoverFindings(
  status: Pick<DatabaseStatus, "source" | "target" | "cutover">,
): readonly StatusFinding[] {
  return [...incompleteFindings(status), ...refusedFindings(status)];
}

function refusedFindings(
  { source, target, cutover }: Pick<DatabaseStatus, "source" | "target" | "cutover">,
): readonly StatusFinding[] {
  const side = cutover == null ? undefined : countingSide(cutover.phase);
  const count = cutover?.refusedWrites ?? 0;
  return side === undefined || count === 0 ? [] : [{
    id: "cutover-refused-writes",
    severity: "warning",
    side,
    database: source ?? target,
    stream: null,
    message: describeRefusals(count, side),
    remedy: refusalsRemedy(side),
  }];
}

function incompleteFindings(
  { source, target, cutover }: Pick<DatabaseStatus, "source" | "target" | "cutover">,
): readonly StatusFinding[] {
  const finding = (message: string, remedy: string): readonly StatusFinding[] => [{
    id: "cutover-incomplete",
    severity: "problem",
    side: "source",
    database: source ?? target,
    stream: null,
    message,
    remedy,
  }];
  const unfinished = cutover?.unfinished;
  if (unfinished != null) {
    return finding(describeUnfinished(unfinished), unfinishedSwitchRemedy(unfinished));
  }
  switch (cutover?.phase) {
    case "contradictory":
      return finding(contradictionMessage, contradictionRemedy);
    case "preparing":
      return finding("the preparation of the cutover is not complete", "run cutover prepare again");
    case "closing":
      return finding(
        "the cutover has closed the source and not opened the target yet: both refuse writes",
        "run cutover run again; or return to the source with cutover rollback",
      );
    case "returning":
      return finding(
        "the rollback has closed the target and not opened the source yet: both refuse writes",
        "run cutover rollback again; or return to the target with cutover run",
      );
    case "switched":
      return [
        ...wayBackFindings(cutover.wayBack ?? null, source ?? target),
        ...tripwireFindings(cutover, source ?? target),
      ];
    case "prepared":
      return [
        ...tripwireFindings(cutover, source ?? target),
        ...keptSlotFindings(cutover.keptSlot ?? null, source ?? target),
      ];
    default:
      return [];
  }
}

/** Reports changes on the closed side. */
function tripwireFindings(
  { phase, foreignChanges }: NonNullable<DatabaseStatus["cutover"]>,
  database: string | null,
): readonly StatusFinding[] {
  const side = closedSideIn(phase);
  if (side === undefined || !foreignChanges) return [];
  return [{
    id: "cutover-tripwire",
    severity: "problem",
    side,
    database,
    stream: null,
    message: `${
      plural(foreignChanges, "change")
    } on the closed ${side} that replication did not bring`,
    remedy: side === "source"
      ? "see cutover status for the tables; the source is no longer a complete way back"
      : "see cutover status for the tables; the target no longer equals the source",
  }];
}

/** Reports a slot of the way back that retains too much WAL while the source is in use. */
function keptSlotFindings(
  slot: KeptSlot | null,
  database: string | null,
): readonly StatusFinding[] {
  const found = slot === null ? undefined : judgeKeptSlot(slot);
  if (slot === null || found === undefined) return [];
  return [{
    id: "cutover-kept-slot",
    severity: "warning",
    side: "target",
    database,
    stream: slot.name,
    ...found,
  }];
}

/** Reports a way back that brings nothing to the source. */
function wayBackFindings(
  wayBack: WayBackStatus | null,
  database: string | null,
): readonly StatusFinding[] {
  if (wayBack === null || !brokenStreamStates.has(wayBack.state)) return [];
  const { name, state, kind, lagBytes } = wayBack;
  const behind = lagBytes === null ? "" : `, ${formatBytes(lagBytes)} behind`;
  return [{
    id: "cutover-way-back",
    severity: "problem",
    side: "source",
    database,
    stream: name,
    message:
      `the way back is ${state}, not streaming${behind}: cutover rollback is refused, and its slot retains WAL on the target`,
    remedy: wayBackRemedy({ name, state, kind: kind ?? undefined }) ?? "see cutover status",
  }];
}

/** Reports schemas of the tool that the role cannot read. */
export function hiddenFindings(
  hidden: Readonly<Record<Side, readonly HiddenSchema[] | undefined>>,
  database: string | null,
): readonly StatusFinding[] {
  return (["source", "target"] as const).flatMap((side) =>
    (hidden[side] ?? []).map((each): StatusFinding => ({
      id: "schema-hidden",
      severity: "problem",
      side,
      database,
      stream: null,
      ...describeHidden(each, side),
    }))
  );
}

function describeHidden(
  { schema, owner, distrust }: HiddenSchema,
  side: Side,
): Pick<StatusFinding, "message" | "remedy"> {
  const unknown = schema === applySchema
    ? "changes may be applied by a process of the tool"
    : "the phase of the cutover is unknown";
  if (owner === undefined) {
    return {
      message: `${distrust?.message}: its record of the cutover is not read`,
      remedy: distrust?.remedy ?? "",
    };
  }
  return {
    message: `schema ${schema} belongs to role ${
      quoteIdentifier(owner)
    } and cannot be read by this role, or is not trusted: ${unknown}`,
    remedy: `connect to the ${side} as role ${
      quoteIdentifier(owner)
    }, if it runs the migration; until then, remove nothing`,
  };
}

/** A copy that `init` has begun and not completed. */
export interface UnfinishedCopy {
  /** The database's name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** ISO timestamp. */
  readonly startedAt: string;
}

/** Reports unreachable servers, or the absence of replication. */
export function serverFindings(
  { source, target, databases, unfinished = [] }: {
    readonly source: ServerStatus;
    readonly target: ServerStatus;
    readonly databases: readonly DatabaseStatus[];
    /** Copies that are not complete, where nothing else connects the servers. */
    readonly unfinished?: readonly UnfinishedCopy[];
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
      message: `the ${side} is unreachable: ${server.problem ?? "no answer"}`,
      remedy: side === "source"
        ? "lag and slots are unknown until it is back"
        : "workers and errors are unknown until it is back; meanwhile the slots retain WAL",
    });
  }
  for (const { source: database, target: copy, startedAt } of unfinished) {
    findings.push({
      id: "init-unfinished",
      severity: "problem",
      side: "target",
      database,
      stream: null,
      message: `the copy to database ${copy}, begun ${
        startedAt.slice(0, 16).replace("T", " ")
      } UTC, is not complete: init is still running, or was interrupted`,
      remedy: "run the same init command again: it resumes; cleanup removes what init has recorded",
    });
  }
  if (databases.length === 0 && findings.length === 0) {
    findings.push({
      id: "no-replication",
      severity: "problem",
      side: "source",
      database: null,
      stream: null,
      message: "no replication exists between these servers, and no cutover is recorded",
      remedy:
        "set it up with init --enable-sync; after a finished cutover and cleanup, the target is in use, and nothing is left to do",
    });
  }
  return findings;
}

/** Problems first. */
export function sortFindings(findings: readonly StatusFinding[]): readonly StatusFinding[] {
  const rank = ({ severity }: StatusFinding) => severity === "problem" ? 0 : 1;
  return [...findings].sort((a, b) => rank(a) - rank(b));
}

/** Whether no finding is a problem and lag is within the limits. Unknown lag is not. */
export function checkStatus(
  { databases, findings }: StatusReport,
  { maxLagBytes, maxLagSeconds }: StatusLimits = {},
): StatusCheck {
  const reasons = findings.filter(({ severity }) => severity === "problem").map((finding) => {
    const where = [finding.database, finding.stream].filter((part) => part !== null).join(", ");
    return where === "" ? finding.message : `${where}: ${finding.message}`;
  });
  // the lag of a stream that a switch has stopped will not be applied
  for (const { source, target, streams } of databases.filter((each) => !isKeptForReturn(each))) {
    for (const { name, lagBytes, lagSeconds } of streams) {
      const where = `${source ?? target}, ${name}`;
      if (maxLagBytes !== undefined && (lagBytes ?? Infinity) > maxLagBytes) {
        reasons.push(
          lagBytes === null
            ? `${where}: the lag in bytes is unknown`
            : `${where}: ${formatBytes(lagBytes)} behind, more than ${formatBytes(maxLagBytes)}`,
        );
      }
      if (maxLagSeconds !== undefined && (lagSeconds ?? Infinity) > maxLagSeconds) {
        reasons.push(
          lagSeconds === null
            ? `${where}: the lag in seconds is unknown`
            : `${where}: ${formatDuration(lagSeconds * 1000)} behind, more than ${
              formatDuration(maxLagSeconds * 1000)
            }`,
        );
      }
    }
  }
  return { ok: reasons.length === 0, reasons };
}
