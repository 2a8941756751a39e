/**
 * What applies the changes of the streams that a run of `sync` hands over.
 *
 * @module
 */
import { type EventSink, retry } from "../../core/internal.ts";
import { openSession } from "../../postgres/internal.ts";
import type { ApplierKind } from "../../replication/internal.ts";
import { chooseApplier, describeApplierChoice, sameAsExisting } from "../shared/choose_applier.ts";
import { accessTo } from "../shared/replicated_rows.ts";
import type { SyncOptions } from "../shared/run.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/**
 * Chooses what applies the changes of new streams of one database: what applies those of its other
 * streams, or else what was requested, or works.
 *
 * @throws ReplicatorError (prerequisite) if something else applies the changes of existing streams,
 * or nothing can apply them
 */
export async function chooseKind(
  { source, target, streams, verdicts }: ReplicationStatus,
  { options: { sync, action }, events, signal }: {
    readonly options: SyncOptions;
    readonly events: EventSink;
    readonly signal: AbortSignal;
  },
): Promise<ApplierKind> {
  const existing = sameAsExisting(streams.flatMap(({ applier }) => applier ?? []), sync);
  if (existing !== undefined) return existing;
  const isNeeded = action.kind === "copy" ||
    verdicts.some((verdict) => verdict.action === "hand-over");
  if (!isNeeded) return "subscription";
  await using session = await retry(() => openSession(target, { signal }), { signal });
  const choice = await chooseApplier({
    target: session,
    access: accessTo(source, sync),
    settings: sync,
    databases: 1,
  });
  if (choice.kind === "client") {
    events({ kind: "info", message: `${source.database}: ${describeApplierChoice(choice)}` });
  }
  return choice.kind;
}
