/**
 * What prevents streams from resuming, in words: what it means and what to do.
 *
 * @module
 */
import {
  displayName,
  ExitCode,
  formatLsn,
  type Lsn,
  nameSome,
  plural,
  ReplicatorError,
  retry,
  type RunEvent,
} from "../../core/internal.ts";
import { type Endpoint, openSession } from "../../postgres/internal.ts";
import {
  type ApplierKind,
  type ApplyErrorDiagnosis,
  applyRemedy,
  diagnoseApplyError,
  explainApplyError,
  failingRemedy,
  type ReplicationStream,
  scopeDifferences,
  type StreamVerdict,
} from "../../replication/internal.ts";
import type { SyncOptions } from "../shared/run.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** A stream that an apply error has stopped, with its databases. */
export interface FailedStream {
  readonly status: ReplicationStatus;
  readonly stream: ReplicationStream;
}

/** Streams that an apply error has stopped, or that keep failing. */
export function failedStreams(statuses: readonly ReplicationStatus[]): readonly FailedStream[] {
  return statuses.flatMap((status) =>
    status.verdicts.filter(({ stream, action }) =>
      action === "retry" ||
      // before 15 nothing counts errors
      (action === "enable" || action === "wait") && stream.applier?.kind !== "client" &&
        (stream.applier?.applyErrors ?? 1) > 0
    ).map(({ stream }) => ({ status, stream }))
  );
}

/** Streams that cannot resume. */
export interface RefusedStreams {
  readonly names: ReadonlySet<string>;
  /** Every reason; undefined if there are none. */
  readonly error: ReplicatorError | undefined;
}

/**
 * Finds the streams that cannot resume. Those whose changes a process of this tool applies do not
 * wait for them; the server continues to apply those of a subscription.
 *
 * @param kinds what applies the changes of each database, or will
 * @throws ReplicatorError with every reason if there is nothing to apply here; nothing was changed
 */
export async function findRefusedStreams(
  kinds: ReadonlyMap<ReplicationStatus, ApplierKind>,
  { options: { action }, signal }: {
    readonly options: Pick<SyncOptions, "action">;
    readonly signal: AbortSignal;
  },
): Promise<RefusedStreams> {
  const retrying = action.kind === "retry" || action.kind === "skip";
  const refusals: { readonly isFailing: boolean; readonly lines: readonly string[] }[] = [];
  const names = new Set<string>();
  let areAnyApplied = false;
  for (const [status, kind] of kinds) {
    const { streams, verdicts, source } = status;
    const refuse = (isFailing: boolean, lines: readonly string[]) => {
      refusals.push({ isFailing, lines: lines.map((line) => `${source.database}: ${line}`) });
    };
    if (streams.length === 0) refuse(false, explainNoStream(status));
    for (const verdict of verdicts) {
      const lines = await explainVerdict(verdict, { status, retrying, signal });
      if (lines.length === 0) {
        areAnyApplied ||= (verdict.stream.applier?.kind ?? kind) === "client";
        continue;
      }
      refuse(verdict.action === "wait", lines);
      names.add(verdict.stream.name);
    }
  }
  if (refusals.length === 0) return { names, error: undefined };
  const error = new ReplicatorError(
    areAnyApplied
      ? "replication of some streams cannot resume"
      : action.kind === "copy"
      ? "the tables were copied, but replication of others cannot resume"
      : "replication cannot resume; nothing was changed",
    {
      details: refusals.flatMap(({ lines }) => lines),
      remedy: "docs/guides/sync.md explains every state",
      // waiting for a failing worker would end the same way
      exitCode: refusals.every(({ isFailing }) => isFailing)
        ? ExitCode.unhealthy
        : ExitCode.prerequisite,
    },
  );
  if (!areAnyApplied) throw error;
  return { names, error };
}

/** Why a stream cannot resume; empty if it can. */
async function explainVerdict(
  verdict: StreamVerdict,
  { status, retrying, signal }: {
    readonly status: ReplicationStatus;
    readonly retrying: boolean;
    readonly signal: AbortSignal;
  },
): Promise<readonly string[]> {
  const { action } = verdict;
  if (action === "refuse" || action === "retry" && !retrying) {
    return await explain(verdict, status, signal);
  }
  return retrying ? [] : await explainHidden(verdict, status, signal);
}

function explainNoStream({ wanted, others, target }: ReplicationStatus): string[] {
  if (others.length === 0) {
    return [
      `no slot of init --enable-sync exists: changes on the source since ${target.database} was copied were not retained, and replicating ` +
      "from now on would leave a gap",
      "  → copy the rows again under a new slot with sync --resnapshot '*'; or start over with init --enable-sync",
    ];
  }
  return others.flatMap((other) => [
    `a stream between these databases exists with other rules (created ${other.createdAt}):`,
    ...scopeDifferences({ wanted, existing: other }).map((line) => `  ${line}`),
    "  → use the rules that it was created with, or remove it with cleanup",
  ]);
}

async function explain(
  { message, remedy, action, reason, stream }: StreamVerdict,
  status: ReplicationStatus,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (action !== "retry") {
    const details = reason === "apply-error" ? stream.applier?.error?.details ?? [] : [];
    return [
      message,
      ...details.map((line) => `  ${line}`),
      ...(remedy === undefined ? [] : [`  → ${remedy}`]),
    ];
  }
  const { lines, finishLsn } = await explainFailure({ status, stream }, signal);
  const withLsn = reason === "apply-error" && finishLsn !== undefined
    ? applyRemedy(formatLsn(finishLsn))
    : remedy;
  return [
    message,
    ...lines.map((line) => `  ${line}`),
    ...(withLsn === undefined ? [] : [`  → ${withLsn}`]),
  ];
}

/** Describes the transaction that cannot be applied, with tables and keys, and its conflicts. */
async function explainFailure(
  failed: FailedStream,
  signal: AbortSignal,
): Promise<{ readonly lines: readonly string[]; readonly finishLsn: Lsn | undefined }> {
  const { error } = failed.stream.applier ?? {};
  // the record knows which transaction it is, and why
  if (error !== undefined) return { lines: explainApplyError(error), finishLsn: undefined };
  const { lines, transaction } = await diagnoseStream(failed, signal);
  return {
    lines: [
      ...lines,
      "the error message is in the log of the target's server, which SQL cannot read",
    ],
    finishLsn: transaction?.finishLsn,
  };
}

/** Diagnoses the next transaction of a stream, unless its slot is being read. */
async function diagnoseStream(
  { status: { source, target }, stream: { applier, slot, publication } }: FailedStream,
  signal: AbortSignal,
): Promise<ApplyErrorDiagnosis> {
  if (
    applier === undefined || slot === undefined || publication === undefined || slot.active
  ) return { transaction: undefined, conflicts: [], lines: [] };
  return await withSession(
    source,
    signal,
    (from) =>
      withSession(
        target,
        signal,
        (to) =>
          diagnoseApplyError({
            source: from,
            target: to,
            applier,
            slot,
            publication: publication.name,
          }),
      ),
  );
}

/** Explains stopped streams that turn out to be failing: before 15 nothing counts apply errors. */
async function explainHidden(
  verdict: StreamVerdict,
  status: ReplicationStatus,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { action, stream } = verdict;
  if (stream.applier?.kind === "client") return []; // records its errors
  const isIdle = (action === "wait" || action === "enable") &&
    stream.applier?.workerPid === undefined;
  if (!isIdle) return [];
  const { transaction, conflicts, lines } = await diagnoseStream({ status, stream }, signal);
  if (conflicts.length === 0) return [];
  return [
    `the subscription ${stream.name} ${
      action === "enable" ? "is disabled, and" : "has no worker:"
    } the next transaction cannot be applied`,
    ...lines.map((line) => `  ${line}`),
    `  → ${
      action === "enable"
        ? applyRemedy(transaction === undefined ? undefined : formatLsn(transaction.finishLsn))
        : failingRemedy(transaction?.finishLsn)
    }`,
  ];
}

async function withSession<Result>(
  endpoint: Endpoint,
  signal: AbortSignal,
  work: (session: Awaited<ReturnType<typeof openSession>>) => Promise<Result>,
): Promise<Result> {
  await using session = await retry(() => openSession(endpoint, { signal }), { signal });
  return await work(session);
}

/** Warnings that do not prevent replication. */
export function describeVerdicts(
  { source, unfollowed, appeared, unsubscribed }: ReplicationStatus,
): readonly RunEvent[] {
  const warn = (message: string, remedy: string): RunEvent => ({
    kind: "warning",
    side: "source",
    object: `database ${source.database}`,
    message,
    remedy,
  });
  const [first] = [...unfollowed, ...unsubscribed];
  return [
    ...(appeared.length === 0 ? [] : [warn(
      `${
        plural(appeared.length, "table is", "tables are")
      } new on the source and missing on the target: ${nameSome(appeared)}`,
      "create and copy them with sync --add-tables '*'",
    )]),
    ...(first === undefined ? [] : [warn(
      `the changes of ${
        plural(unfollowed.length + unsubscribed.length, "table")
      } are not replicated: ${nameSome([...unfollowed, ...unsubscribed])}`,
      `copy them again with sync --resnapshot ${
        displayName(first)
      }; a table that cannot be published needs a primary key, or --replica-identity full`,
    )]),
  ];
}
