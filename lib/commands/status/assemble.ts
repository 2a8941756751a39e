/**
 * Assembles the streams and databases of the report from the facts of both sides. Pure.
 *
 * @module
 */
import { formatLsn, type Lsn, lsnDistance, tableKey, type TableName } from "../../core/internal.ts";
import {
  type AppliedWork,
  type ApplierReading,
  type ApplierWorker,
  type ApplyError,
  describeApplyError,
  hoursUntilLost,
  judgeStream,
  lagOf,
  type NameParts,
  type OwnedPublication,
  type SlotReading,
  type SourceReading,
  type StreamActivity,
  type StreamJudgement,
  walRate,
} from "../../replication/internal.ts";
import type { StatusContents, TargetStatusFacts } from "./facts.ts";
import type {
  ClientStatus,
  PublicationStatus,
  SequenceStatus,
  SlotStatus,
  StreamStatus,
  SubscriptionStatus,
} from "./report.ts";

/** The facts about one stream. */
export interface StreamInput {
  readonly name: string;
  readonly parts: NameParts;
  /** Both readings of the source; undefined if it is unreachable. */
  readonly source: { readonly before: SourceReading; readonly now: SourceReading } | undefined;
  readonly publications: readonly OwnedPublication[] | undefined;
  /** The tables of its publication. */
  readonly published: readonly TableName[];
  /** Undefined if the target's database is unreachable or does not exist. */
  readonly target: TargetStatusFacts | undefined;
  readonly targetReachable: boolean;
  /** The worker at the first reading; undefined if it is unknown. */
  readonly workerBefore: ApplierWorker | undefined;
}

/** A stream of the report, and what `sync` would find. */
export interface AssembledStream {
  readonly status: StreamStatus;
  readonly judgement: StreamJudgement;
}

/** Assembles one stream of the report. */
export function assembleStream(input: StreamInput): AssembledStream {
  const { name, source, target } = input;
  const reading = source?.now.slots.find((each) => each.name === name);
  const slot = source === undefined || reading === undefined ? null : slotStatus(reading, source);
  const applier = target?.appliers.find((each) => each.name === name);
  const publication = input.publications?.find((each) => each.name === name);
  const lag = source === undefined ? undefined : lagOf(name, {
    ...source,
    silenceMs: applier?.workerPid === undefined ? undefined : applier.silenceMs,
  });
  const scopeComment = publication?.scopeComment ?? applier?.scopeComment;
  const judgement = judgeStream({
    name,
    epoch: input.parts.epoch,
    slot: reading,
    publication: publication === undefined ? undefined : { tables: input.published },
    applier,
    scopeComment,
  }, {
    sourceReachable: source !== undefined,
    isPublicationKnown: input.publications !== undefined,
    targetReachable: input.targetReachable,
    activity: {
      ...workerActivity(input, applier),
      applied: source === undefined || hasMoved(name, source),
      isBlocked: (applier?.blockers.length ?? 0) > 0,
    },
  });
  const status: StreamStatus = {
    name,
    epoch: input.parts.epoch,
    createdAt: scopeComment?.createdAt ?? null,
    state: judgement.state,
    lagBytes: lag?.bytes ?? null,
    lagSeconds: lag?.seconds ?? null,
    appliedBytesPerSecond: lag?.appliedBytesPerSecond ?? null,
    catchUpSeconds: lag?.catchUpSeconds ?? null,
    slot,
    publication: publication === undefined ? null : publicationStatus(publication),
    subscription: applier === undefined ? null : subscriptionStatus(applier),
  };
  return { status, judgement };
}

function workerActivity(
  { workerBefore }: StreamInput,
  applier: ApplierReading | undefined,
): Pick<StreamActivity, "newErrors" | "restarted"> {
  const errors = applier?.applyErrors ?? 0;
  return {
    newErrors: errors - (workerBefore?.applyErrors ?? errors),
    restarted: workerBefore !== undefined && workerBefore.pid !== applier?.workerPid,
  };
}

/** Whether nothing was pending, or the target has confirmed something between the readings. */
function hasMoved(
  name: string,
  { before, now }: { readonly before: SourceReading; readonly now: SourceReading },
): boolean {
  const confirmed = (reading: SourceReading) =>
    reading.slots.find((slot) => slot.name === name)?.confirmedFlushLsn;
  const [first, last] = [confirmed(before), confirmed(now)];
  return first === undefined || last === undefined || last > first || last >= before.wal;
}

function publicationStatus({ tables, allTables }: OwnedPublication): PublicationStatus {
  return { tables, allTables };
}

function slotStatus(
  slot: SlotReading,
  { before, now }: { readonly before: SourceReading; readonly now: SourceReading },
): SlotStatus {
  return {
    active: slot.active,
    activePid: slot.activePid ?? null,
    restartLsn: lsnText(slot.restartLsn),
    confirmedFlushLsn: lsnText(slot.confirmedFlushLsn),
    retainedBytes: slot.restartLsn === undefined
      ? null
      : Math.max(0, lsnDistance(slot.restartLsn, now.wal)),
    walStatus: slot.walStatus ?? null,
    safeWalBytes: slot.safeWalBytes ?? null,
    hoursUntilLost: hoursUntilLost(slot, walRate(before, now)) ?? null,
    invalidationReason: slot.invalidationReason ?? null,
  };
}

function clientStatus(
  { transactions, changes, sinceMs }: AppliedWork,
  error: ApplyError | undefined,
): ClientStatus {
  return {
    transactions,
    changes,
    idleSeconds: sinceMs === undefined ? null : sinceMs / 1000,
    error: error === undefined ? null : {
      message: describeApplyError(error),
      sqlState: error.sqlState ?? null,
      details: error.details ?? [],
      finishLsn: error.finishLsn ?? null,
    },
  };
}

function subscriptionStatus(state: ApplierReading): SubscriptionStatus {
  return {
    ...(state.applied === undefined ? {} : { client: clientStatus(state.applied, state.error) }),
    enabled: state.enabled,
    slotName: state.slotName ?? null,
    publications: state.publications,
    workerPid: state.workerPid ?? null,
    receivedLsn: lsnText(state.receivedLsn),
    appliedLsn: lsnText(state.latestEndLsn),
    silenceSeconds: state.silenceMs === undefined ? null : state.silenceMs / 1000,
    applyErrors: state.applyErrors ?? null,
    syncErrors: state.syncErrors ?? null,
    conflicts: state.conflicts,
    blockedBy: state.blockers.map(({ pid, user, application, transactionMs }) => ({
      pid,
      user: user ?? null,
      application: application === undefined || application === "" ? null : application,
      transactionSeconds: transactionMs === undefined ? null : transactionMs / 1000,
    })),
    tables: state.tables.map(({ schema, name: table, state: copied, lsn }) => ({
      schema,
      name: table,
      state: copied,
      lsn: lsnText(lsn),
    })),
  };
}

/** Sequences of both sides whose values differ. */
export function sequenceDifferences(
  source: StatusContents["sequences"],
  target: StatusContents["sequences"],
): readonly SequenceStatus[] {
  const onTarget = new Map(target.map((sequence) => [tableKey(sequence), sequence.lastValue]));
  return source.flatMap(({ schema, name, lastValue }) => {
    const other = onTarget.get(tableKey({ schema, name }));
    return other === undefined || other === lastValue ? [] : [{
      schema,
      name,
      source: String(lastValue),
      target: String(other),
      distance: Number(lastValue - other),
    }];
  });
}

function lsnText(lsn: Lsn | undefined): string | null {
  return lsn === undefined ? null : formatLsn(lsn);
}
