/**
 * An applier that is waited for: how far behind it is, and why it does not advance.
 *
 * @module
 */
import {
  ExitCode,
  formatBytes,
  formatLsn,
  type Lsn,
  lsnDistance,
  plural,
  quoteIdentifier,
  ReplicatorError,
} from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { ApplierProgress } from "../read_appliers.ts";
import { applyErrorRemedy, describeApplyError, explainApplyError } from "./describe_apply_error.ts";
import type { SlotState } from "../slot/read_slots.ts";
import { type ApplyErrorDiagnosis, diagnoseApplyError } from "./diagnose_apply_error.ts";

interface ServerSessions {
  readonly source: Session;
  readonly target: Session;
}

/** An applier that is waited for. */
export interface AwaitedApplier {
  /** Undefined if the target has no such applier. */
  readonly applier: ApplierProgress | undefined;
  /** Undefined if the source has no such slot. */
  readonly slot: SlotState | undefined;
  /** Apply errors since the wait began, or since anything was applied. */
  readonly newErrors: number;
}

/** Consecutive apply errors that do not count as transient. */
const terminalErrors = 3;

/** Whether everything before the position is on the target. */
export function hasReachedLsn(slot: SlotState | undefined, lsn: Lsn): boolean {
  return slot?.confirmedFlushLsn !== undefined && slot.confirmedFlushLsn >= lsn;
}

/** Why waiting is pointless; undefined if it is not. */
export function terminalFailure(
  name: string,
  { applier, slot, newErrors }: AwaitedApplier,
): ReplicatorError | undefined {
  const isClient = applier?.kind === "client";
  const object = `${isClient ? "stream" : "subscription"} ${quoteIdentifier(name)}`;
  const target = (message: string, remedy: string, details: readonly string[] = []) =>
    new ReplicatorError(message, {
      side: "target",
      object,
      details,
      remedy,
      exitCode: ExitCode.unhealthy,
    });
  if (applier === undefined) {
    return target("the subscription does not exist in this database", "create it with sync");
  }
  if (applier.error !== undefined) {
    return target(
      `its changes cannot be applied: ${describeApplyError(applier.error)}`,
      applyErrorRemedy(applier.error),
      explainApplyError(applier.error).slice(1),
    );
  }
  if (applier.slotName === undefined) {
    return target(
      "it is detached from its slot (slot_name = NONE) and receives nothing",
      "remove it with cleanup, then start over with init --enable-sync",
    );
  }
  if (!applier.enabled) {
    if (isClient) return target("it is stopped, and its changes are not applied", "run sync");
    return target(
      "it is disabled and applies nothing" +
        ((applier.applyErrors ?? 0) > 0
          ? ` (${plural(applier.applyErrors ?? 0, "apply error")} so far: ` +
            "an error may have disabled it)"
          : ""),
      `find the reason in the target's log, then: ALTER SUBSCRIPTION ${
        quoteIdentifier(name)
      } ENABLE;`,
    );
  }
  const source = (message: string) =>
    new ReplicatorError(message, {
      side: "source",
      object: `slot ${quoteIdentifier(applier.slotName ?? "")}`,
      remedy: "changes are lost: start over with sync --resnapshot",
      exitCode: ExitCode.unhealthy,
    });
  if (slot === undefined) return source("the slot does not exist");
  if (slot.walStatus === "lost" || slot.invalidationReason !== undefined) {
    return source(
      `the server has invalidated the slot (${slot.invalidationReason ?? "wal_status is lost"})`,
    );
  }
  if (!isClient && newErrors >= terminalErrors) {
    return target(
      `the apply worker keeps failing (${plural(newErrors, "error")}, nothing applied)`,
      failingRemedy(),
    );
  }
  return undefined;
}

/** Adds the transaction that cannot be applied to an error about apply errors. */
export async function withCause(
  failure: ReplicatorError,
  { each, source, target }: ServerSessions & {
    readonly each: AwaitedApplier;
  },
): Promise<ReplicatorError> {
  // a client records the error itself
  if (each.applier?.kind === "client" || each.newErrors < terminalErrors) return failure;
  const { transaction, lines } = await diagnoseAwaited(each, { source, target });
  const { message, side, object, exitCode } = failure;
  return new ReplicatorError(message, {
    side,
    object,
    details: lines,
    remedy: failingRemedy(transaction?.finishLsn),
    exitCode,
  });
}

async function diagnoseAwaited(
  { applier, slot }: AwaitedApplier,
  { source, target }: ServerSessions,
): Promise<ApplyErrorDiagnosis> {
  const [publication] = applier?.publications ?? [];
  if (applier === undefined || slot === undefined || publication === undefined) {
    return { transaction: undefined, conflicts: [], lines: [] };
  }
  return await diagnoseApplyError({ source, target, applier, slot, publication });
}

/**
 * Before 15 nothing counts apply errors: if a worker keeps restarting, nothing is applied and the
 * next transaction has conflicts on the target, it is failing.
 *
 * @throws ReplicatorError with the conflicts
 */
export async function refuseConflicts(
  name: string,
  each: AwaitedApplier,
  { source, target }: ServerSessions,
): Promise<void> {
  if (target.majorVersion >= 15 || each.applier?.kind === "client") return;
  const { transaction, conflicts, lines } = await diagnoseAwaited(each, { source, target });
  if (conflicts.length === 0) return;
  throw new ReplicatorError("the apply worker keeps failing", {
    side: "target",
    object: `subscription ${quoteIdentifier(name)}`,
    details: lines,
    remedy: failingRemedy(transaction?.finishLsn),
    exitCode: ExitCode.unhealthy,
  });
}

/** What to do about a worker that keeps failing at the transaction that ends at a position. */
export function failingRemedy(finishLsn?: Lsn): string {
  return "remove the conflict on the target, and the worker resumes on its own; or skip the transaction with " +
    `sync --skip-lsn ${
      finishLsn === undefined ? "LSN" : formatLsn(finishLsn)
    }, and repair with verify; ` +
    'the target\'s log shows the error ("logical replication")';
}

/** Why an applier is not applying at the moment; undefined if it is. */
export function blockingReason({ applier, slot, newErrors }: AwaitedApplier):
  | string
  | undefined {
  if (applier?.kind === "client") {
    return applier.workerPid === undefined
      ? "no process is applying its changes: run sync, which must keep running"
      : undefined;
  }
  if (newErrors > 0) return `the apply worker is failing (${plural(newErrors, "error")})`;
  if (applier?.workerPid === undefined) {
    return "no apply worker is running: it is restarting, cannot reach the source, or no worker slot is free " +
      "(max_logical_replication_workers, max_worker_processes)";
  }
  if (slot !== undefined && !slot.active) return "the slot is not being read";
  return undefined;
}

export function describeLag(each: AwaitedApplier, lsn: Lsn): string {
  const bytes = bytesBehind(each, lsn);
  const behind = bytes === undefined ? "nothing confirmed yet" : `${formatBytes(bytes)} behind`;
  const reason = blockingReason(each);
  return reason === undefined ? behind : `${behind}, ${reason}`;
}

export function bytesBehind({ slot }: AwaitedApplier, lsn: Lsn): number | undefined {
  const confirmed = slot?.confirmedFlushLsn;
  return confirmed === undefined ? undefined : Math.max(0, lsnDistance(confirmed, lsn));
}
