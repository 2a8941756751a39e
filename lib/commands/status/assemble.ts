/**
 * From the facts of both sides to the streams and databases of the report. Pure.
 *
 * @module
 */
import { lsnDistance, tableKey } from "../../core/internal.ts";
import {
  hoursUntilLost,
  lagOf,
  type NameParts,
  type OwnedPublication,
  type SlotReading,
  type SourceReading,
  walRate,
  type WorkerReading,
} from "../../replication/internal.ts";
import type { StatusContents, TargetStatusFacts } from "./facts.ts";
import { lsnText, streamState } from "./evaluate.ts";
import type {
  PublicationStatus,
  SequenceStatus,
  SlotStatus,
  StreamStatus,
  SubscriptionStatus,
} from "./report.ts";

/** What a stream's part of the report is made from. */
export interface StreamInput {
  readonly name: string;
  readonly parts: NameParts;
  /** Both readings of the source; undefined when it is out of reach. */
  readonly source: { readonly before: SourceReading; readonly now: SourceReading } | undefined;
  readonly publications: readonly OwnedPublication[] | undefined;
  /** Undefined when the target's database is out of reach, or there is none. */
  readonly target: TargetStatusFacts | undefined;
  readonly targetReachable: boolean;
  /** The worker at the first reading; undefined when it is not known. */
  readonly workerBefore: WorkerReading | undefined;
}

/** One stream of the report. */
export function streamStatus(input: StreamInput): StreamStatus {
  const { name, source, target } = input;
  const reading = source?.now.slots.find((each) => each.name === name);
  const slot = source === undefined || reading === undefined ? null : slotStatus(reading, source);
  const subscription = target === undefined ? null : subscriptionStatus(name, target);
  const publication = input.publications?.find((each) => each.name === name);
  const silence = subscription?.silenceSeconds ?? undefined;
  const lag = source === undefined ? undefined : lagOf(name, {
    ...source,
    silenceMs: silence === undefined || subscription?.workerPid === null
      ? undefined
      : silence * 1000,
  });
  const descriptor = publication?.descriptor ?? target?.descriptors.get(name);
  return {
    name,
    epoch: input.parts.epoch,
    createdAt: descriptor?.createdAt ?? null,
    state: streamState({
      slot,
      subscription,
      sourceReachable: source !== undefined,
      targetReachable: input.targetReachable,
      ...workerFacts(input, subscription),
      applied: source === undefined || hasMoved(name, source),
    }),
    lagBytes: lag?.bytes ?? null,
    lagSeconds: lag?.seconds ?? null,
    appliedBytesPerSecond: lag?.appliedBytesPerSecond ?? null,
    catchUpSeconds: lag?.catchUpSeconds ?? null,
    slot,
    publication: publication === undefined ? null : publicationStatus(publication),
    subscription,
  };
}

function workerFacts(
  { workerBefore }: StreamInput,
  subscription: SubscriptionStatus | null,
): { readonly newErrors: number; readonly restarted: boolean } {
  const errors = subscription?.applyErrors ?? 0;
  return {
    newErrors: errors - (workerBefore?.applyErrors ?? errors),
    restarted: workerBefore !== undefined &&
      (workerBefore.pid ?? null) !== (subscription?.workerPid ?? null),
  };
}

/** Whether nothing waits, or the target has confirmed something between the readings. */
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

function subscriptionStatus(
  name: string,
  { subscriptions, counters, tables, blockers }: TargetStatusFacts,
): SubscriptionStatus | null {
  const state = subscriptions.find((each) => each.name === name);
  if (state === undefined) return null;
  const counted = counters.get(name);
  return {
    enabled: state.enabled,
    slotName: state.slotName ?? null,
    publications: state.publications,
    workerPid: state.workerPid ?? null,
    receivedLsn: lsnText(state.receivedLsn),
    appliedLsn: lsnText(state.latestEndLsn),
    silenceSeconds: state.silenceMs === undefined ? null : state.silenceMs / 1000,
    applyErrors: counted?.applyErrors ?? null,
    syncErrors: counted?.syncErrors ?? null,
    conflicts: counted?.conflicts ?? {},
    blockedBy: blockers.filter(({ workerPid }) => workerPid === state.workerPid)
      .map(({ pid, user, application, transactionMs }) => ({
        pid,
        user: user ?? null,
        application: application === undefined || application === "" ? null : application,
        transactionSeconds: transactionMs === undefined ? null : transactionMs / 1000,
      })),
    tables: tables.filter(({ subscription }) => subscription === name)
      .map(({ schema, name: table, state: copied, lsn }) => ({
        schema,
        name: table,
        state: copied,
        lsn: lsnText(lsn),
      })),
  };
}

/** Sequences that both sides have and that stand elsewhere. */
export function sequenceDifferences(
  source: StatusContents["sequences"],
  target: StatusContents["sequences"],
): readonly SequenceStatus[] {
  const there = new Map(target.map((sequence) => [tableKey(sequence), sequence.lastValue]));
  return source.flatMap(({ schema, name, lastValue }) => {
    const other = there.get(tableKey({ schema, name }));
    return other === undefined || other === lastValue ? [] : [{
      schema,
      name,
      source: String(lastValue),
      target: String(other),
      distance: Number(lastValue - other),
    }];
  });
}
