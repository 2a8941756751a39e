/**
 * Undoing a copy of tables that failed, and explaining what is left of it.
 *
 * @module
 */
import {
  nameSome,
  plural,
  poll,
  ReplicatorError,
  retry,
  type TableName,
} from "../../core/internal.ts";
import {
  ConnectionError,
  openSession,
  type Session,
  terminatePreviousBackend,
} from "../../postgres/internal.ts";
import {
  abandonStream,
  dropSlotApart,
  openApplier,
  type StreamStart,
} from "../../replication/internal.ts";
import { type NewStructure, removeTables } from "./new_tables.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/**
 * What was running. Except while `copying`, a lost connection leaves open whether the target has
 * committed.
 */
export type CopyStage = "making-tables" | "copying" | "handing-over";

/** What a failed copy has left behind. */
export type FailedCopyRemains =
  | { readonly kind: "nothing" }
  /** The target has committed the subscription: all rows are copied, and it can apply changes. */
  | { readonly kind: "subscription"; readonly name: string }
  /** Whether the target has committed the subscription is unknown: the slot is kept for it. */
  | { readonly kind: "unknown"; readonly slot: string; readonly reason: string }
  | { readonly kind: "tables"; readonly reason: string }
  | { readonly kind: "stream"; readonly name: string; readonly reason: string };

/**
 * Undoes a failed copy, unless the target has already committed the subscription, which may have
 * happened before the error. May be interrupted and repeated. New tables that cannot be removed
 * keep their publication, by which the next run recognizes them.
 */
export async function withdrawCopy(
  { source, target }: Pick<ReplicationStatus, "source" | "target">,
  { started, structure, stage, error, lost }: {
    readonly started: StreamStart | undefined;
    readonly structure: NewStructure | undefined;
    readonly stage: CopyStage;
    readonly error: unknown;
    /** The backend of a broken connection, which may still commit. */
    readonly lost: number | undefined;
  },
): Promise<FailedCopyRemains> {
  if (started === undefined) return { kind: "nothing" };
  const { names } = started;
  let isUnknown = stage === "handing-over";
  try {
    await using session = await retry(() => openSession(target), {
      ...(isUnknown ? {} : { delaysMs: [] }),
    });
    if (lost !== undefined) await endBackend(session, lost);
    await using applier = await openApplier(session, { name: names.subscription });
    if (await applier.state() !== "absent") {
      return { kind: "subscription", name: names.subscription };
    }
    isUnknown = false;
    if (structure !== undefined) await removeTables({ target }, structure.made);
    else if (stage === "making-tables" && error instanceof ConnectionError) throw error;
  } catch (failure) {
    if (!(failure instanceof ReplicatorError)) throw failure;
    const reason = failure.message;
    if (isUnknown) return { kind: "unknown", slot: names.slot, reason };
    // report the first reason
    await dropSlotApart(source, names.slot).catch(() => {});
    const mayHaveTables = structure !== undefined || stage === "making-tables";
    return mayHaveTables ? { kind: "tables", reason } : { kind: "nothing" };
  }
  try {
    await abandonStream(source, names);
    return { kind: "nothing" };
  } catch (failure) {
    if (!(failure instanceof ReplicatorError)) throw failure;
    return { kind: "stream", name: names.publication, reason: failure.message };
  }
}

/**
 * Terminates the backend of a broken connection, so that it cannot commit any more.
 *
 * @throws ReplicatorError if it does not end
 */
async function endBackend(session: Session, processId: number): Promise<void> {
  const hasEnded = await poll(
    async () => !await terminatePreviousBackend(session, processId) || undefined,
    { intervalMs: 200, timeoutMs: 10_000 },
  );
  if (hasEnded) return;
  throw new ReplicatorError(`the tool's backend ${processId} on the target did not terminate`, {
    side: "target",
    object: `database ${session.endpoint.database}`,
  });
}

/** Adds to an error what is left of the copy, and what to do about it. */
export function explainFailedCopy(
  error: unknown,
  { tables, areNew, signal, left }: {
    readonly tables: readonly TableName[];
    readonly areNew: boolean;
    readonly signal: AbortSignal;
    readonly left: FailedCopyRemains;
  },
): unknown {
  if (signal.aborted || !(error instanceof ReplicatorError)) return error;
  const copied = `${plural(tables.length, "table")}: ${nameSome(tables)}`;
  const again = `then run sync ${areNew ? "--add-tables" : "--resnapshot"} again for them`;
  const [details, remedy] = left.kind === "subscription"
    ? [
      [`all rows are copied, and the subscription ${left.name} exists, for ${copied}`],
      "run sync again to start it",
    ]
    : left.kind === "unknown"
    ? [
      [
        `whether the target has created the subscription is unknown (${left.reason}), for ${copied}`,
        `the slot ${left.slot} is kept for it and retains WAL on the source`,
      ],
      "run sync again once the target is reachable: it starts the subscription, or reports what to copy again",
    ]
    : [
      [
        `${plural(tables.length, "table is", "tables are")} no longer replicated: ${
          nameSome(tables)
        }`,
        ...(left.kind === "tables"
          ? [`they are incomplete on the target and could not be removed: ${left.reason}`]
          : left.kind === "stream"
          ? [
            `slot and publication ${left.name} could not be removed from the source: ${left.reason}`,
          ]
          : []),
      ],
      again,
    ];
  return new ReplicatorError(error.message, {
    side: error.side,
    object: error.object,
    details: [...error.details, ...details],
    remedy: [...(error.remedy === undefined ? [] : [error.remedy]), remedy].join("; "),
    exitCode: error.exitCode,
    cause: error,
  });
}
