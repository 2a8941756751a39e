/**
 * What stands in the way of following, in words: what it means and what to do.
 *
 * @module
 */
import {
  displayName,
  ExitCode,
  plural,
  ReplicatorError,
  type RunEvent,
} from "../../core/internal.ts";
import { type Endpoint, openSession, retry } from "../../postgres/internal.ts";
import {
  type ApplyErrorDiagnosis,
  applyRemedy,
  diagnoseApplyError,
  failingRemedy,
  nameSome,
  type ReplicationStream,
  scopeDifferences,
  type StreamVerdict,
} from "../../replication/internal.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** A stream that an error has stopped, with its databases. */
export interface FailedStream {
  readonly situation: ReplicationStatus;
  readonly stream: ReplicationStream;
}

/** Streams that an error has stopped, or that fail again and again. */
export function failedStreams(situations: readonly ReplicationStatus[]): readonly FailedStream[] {
  return situations.flatMap((situation) =>
    situation.verdicts.filter(({ stream, action }) =>
      action === "retry" ||
      // before 15 nothing counts errors
      (action === "enable" || action === "wait") && (stream.subscription?.applyErrors ?? 1) > 0
    ).map(({ stream }) => ({ situation, stream }))
  );
}

/**
 * Throws everything that stands in the way, of all databases.
 *
 * @throws ReplicatorError
 */
export async function refuseWhatCannotFollow(
  situations: readonly ReplicationStatus[],
  { retrying, signal }: { readonly retrying: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const refusals: { readonly isFailing: boolean; readonly lines: readonly string[] }[] = [];
  for (const situation of situations) {
    const { streams, verdicts, source } = situation;
    const refuse = (isFailing: boolean, lines: readonly string[]) => {
      if (lines.length === 0) return;
      refusals.push({ isFailing, lines: lines.map((line) => `${source.database}: ${line}`) });
    };
    if (streams.length === 0) refuse(false, nothingThere(situation));
    for (const verdict of verdicts) {
      if (verdict.action === "refuse" || verdict.action === "retry") {
        if (retrying && verdict.action === "retry") continue;
        refuse(false, await explain(verdict, situation, signal));
      } else if (!retrying) {
        const lines = await explainHidden(verdict, situation, signal);
        refuse(verdict.action === "wait", lines);
      }
    }
  }
  if (refusals.length === 0) return;
  throw new ReplicatorError("replication cannot go on as it stands; nothing was changed", {
    details: refusals.flatMap(({ lines }) => lines),
    remedy: "docs/guides/sync.md explains every state",
    // a worker that fails is what waiting for it would find out a moment later
    exitCode: refusals.every(({ isFailing }) => isFailing)
      ? ExitCode.unhealthy
      : ExitCode.prerequisite,
  });
}

function nothingThere({ wanted, others, target }: ReplicationStatus): string[] {
  if (others.length === 0) {
    return [
      `there is no slot of init --enable-sync: what was written on the source since ${target.database} was copied is nowhere kept, and following ` +
      "from now on would leave a gap",
      "  → sync --resnapshot '*' copies the rows again under a new slot; or start over with init --enable-sync",
    ];
  }
  return others.flatMap((other) => [
    `what replicates from and to these databases has other rules (made ${other.createdAt}):`,
    ...scopeDifferences({ wanted, there: other }).map((line) => `  ${line}`),
    "  → give the rules that it was made with, or remove it with cleanup",
  ]);
}

async function explain(
  { message, remedy, action, stream }: StreamVerdict,
  situation: ReplicationStatus,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const cause = action === "retry" ? await explainFailure({ situation, stream }, signal) : [];
  return [
    message,
    ...cause.map((line) => `  ${line}`),
    ...(remedy === undefined ? [] : [`  → ${remedy}`]),
  ];
}

/**
 * The transaction that could not be applied, with tables and keys, and what is seen to be in its
 * way.
 */
async function explainFailure(
  failed: FailedStream,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { lines } = await diagnoseStream(failed, signal);
  return [
    ...lines,
    "the error's own words are in the log of the target's server, which SQL cannot read",
  ];
}

/** The next transaction of a stream that nobody reads; nothing when somebody does. */
export async function diagnoseStream(
  { situation: { source, target }, stream: { subscription, slot, publication } }: FailedStream,
  signal: AbortSignal,
): Promise<ApplyErrorDiagnosis> {
  if (
    subscription === undefined || slot === undefined || publication === undefined || slot.active
  ) return { transaction: undefined, obstacles: [], lines: [] };
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
            subscription,
            slot,
            publication: publication.name,
          }),
      ),
  );
}

/**
 * Streams that seem to rest and are found to have met an error: before 15 no counter tells them.
 */
async function explainHidden(
  verdict: StreamVerdict,
  situation: ReplicationStatus,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { action, stream } = verdict;
  const rests = (action === "wait" || action === "enable") &&
    stream.subscription?.workerPid === undefined;
  if (!rests) return [];
  const { obstacles, lines } = await diagnoseStream({ situation, stream }, signal);
  if (obstacles.length === 0) return [];
  return [
    `the subscription ${stream.name} ${
      action === "enable" ? "is disabled, and" : "has no worker:"
    } what it has to apply next cannot be applied`,
    ...lines.map((line) => `  ${line}`),
    `  → ${action === "enable" ? applyRemedy : failingRemedy}`,
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

/** What does not stop anything, but should be known. */
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
      } new on the source and not on the target: ${nameSome(appeared)}`,
      "sync --add-tables '*' makes and copies them",
    )]),
    ...(first === undefined ? [] : [warn(
      `the changes of ${
        plural(unfollowed.length + unsubscribed.length, "table do", "tables do").replace(/ do$/, "")
      } do not follow: ${nameSome([...unfollowed, ...unsubscribed])}`,
      `sync --resnapshot ${
        displayName(first)
      } copies it again and lets it follow; a table that cannot be published needs a ` +
        "primary key, or --replica-identity full",
    )]),
  ];
}
