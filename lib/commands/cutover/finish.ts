/**
 * `cutover finish`: removes the way back, once the target has proven itself.
 *
 * @module
 */
import { ServerError, type Session } from "../../postgres/internal.ts";
import {
  describeError,
  displayName,
  ExitCode,
  plural,
  ReplicatorError,
  type Side,
} from "../../core/internal.ts";
import { type LeftIdentity, ViolatedKeysError } from "../../replication/internal.ts";
import { optionDefaults } from "../../config/internal.ts";
import {
  continueSequences,
  describeFinish,
  dismantleSide,
  finishStatement,
  LockedSides,
  lockWaitMs,
  removeStream,
} from "../../cutover/internal.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import { examineLocks } from "./examine_locks.ts";
import { explainInterruption } from "./interrupted.ts";
import type { RunContext } from "../shared/run.ts";
import type { CutoverFinishOptions } from "./options.ts";
import { type CutoverDatabase, readCutover } from "./read_cutover.ts";
import { refusePhases, refuseProblems } from "./refuse.ts";
import type { CutoverFinishPlan, CutoverFinishReport } from "./report.ts";

/**
 * Removes the streams of both directions with their slots, and the tool's objects from the target.
 * The source stays closed unless `openOldSide` is set. An interrupted call is completed by another.
 *
 * Requires `--allow-net` for both servers.
 *
 * @returns undefined if `confirm` declined
 * @throws ReplicatorError (prerequisite) unless all databases are switched; (unhealthy) if rows of
 * the target violate a foreign key that was dropped while this tool applied changes; everything
 * else is done then
 */
export async function executeFinish(
  given: CutoverFinishOptions,
  run: RunContext,
): Promise<CutoverFinishReport | undefined> {
  return await explainInterruption(
    "finish",
    { servers: given, run },
    () => finishAll(given, run),
  );
}

async function finishAll(
  given: CutoverFinishOptions,
  run: RunContext,
): Promise<CutoverFinishReport | undefined> {
  const options = prepareEndpoints(given, run.events);
  const databases = (await readCutover(options, run)).filter(({ phase }) => phase !== "none");
  refusePhases(databases, ["switched", "finished"], "cutover finish");
  refuseProblems(await examineLocks(databases, { waitMs: lockWaitMs, signal: run.signal }));
  const { openOldSide } = options;
  const plan: CutoverFinishPlan = {
    databases: databases.map(({ source, target, records }) => {
      const { forward = [], back = null, tables = [] } =
        (records.source ?? records.target)?.details ?? {};
      return {
        source: source.database,
        target: target.database,
        tables: tables.length,
        statements: describeFinish({ source, target, forward, back, tables, openOldSide }),
      };
    }),
    openOldSide,
  };
  if (!await options.confirm(plan)) return undefined;
  // of all databases, before anything is removed: they return together, or not at all
  await using locked = await LockedSides.take(
    databases.flatMap(({ source, target, records }) => [
      { endpoint: source, record: records.source },
      { endpoint: target, record: records.target },
    ]),
    run.signal,
  );
  // recorded first: whatever fails after it, a rollback is refused
  for (const { source, records } of databases) {
    if (records.source === undefined || records.source.details.isFinished) continue;
    await locked.session("source", source.database)!.execute(finishStatement);
  }
  const done: CutoverFinishReport["databases"][number][] = [];
  const violated: ViolatedKeysError[] = [];
  for (const database of databases) {
    done.push(
      await finishOne(database, {
        onSource: locked.session("source", database.source.database)!,
        onTarget: locked.session("target", database.target.database)!,
        openOldSide,
        run,
        onViolated: (error) => violated.push(error),
      }),
    );
  }
  if (violated.length > 0) throw finishedWith(violated);
  return { databases: done };
}

/** What is left to do once everything else is done. */
function finishedWith(violated: readonly ViolatedKeysError[]): ReplicatorError {
  return new ReplicatorError(
    "the cutover is finished, but foreign keys of the target stay NOT VALID: existing rows violate them",
    {
      // every stream of a database reports the same keys
      details: [...new Set(violated.flatMap((error) => describeError(error)))],
      remedy: "correct the rows, then run the statements on the target",
      exitCode: ExitCode.unhealthy,
    },
  );
}

/** The way back brought rows, but no values of sequences. */
async function continueOldSequences(
  { onSource, onTarget, run }: {
    readonly onSource: Session;
    readonly onTarget: Session;
    readonly run: RunContext;
  },
): Promise<void> {
  const object = `database ${onSource.endpoint.database}`;
  try {
    const settings = await continueSequences({
      from: onTarget,
      to: onSource,
      margin: optionDefaults.sequenceMargin,
    });
    for (const { schema, name, note } of settings) {
      if (note === undefined) continue;
      const message = `sequence ${displayName({ schema, name })}: ${note}`;
      run.events({ kind: "warning", side: "source", object, message });
    }
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    run.events({
      kind: "warning",
      side: "source",
      object,
      message:
        `its sequences may be behind the rows that have come back, so that new rows get keys which exist: ${error.message}`,
      remedy: "as their owner, set them behind the largest values with setval before anyone writes",
    });
  }
}

async function finishOne(
  { source, target, records }: CutoverDatabase,
  { onSource, onTarget, openOldSide, run, onViolated }: {
    readonly onSource: Session;
    readonly onTarget: Session;
    readonly openOldSide: boolean;
    readonly run: RunContext;
    /** Everything else is done nevertheless. */
    readonly onViolated: (error: ViolatedKeysError) => void;
  },
): Promise<CutoverFinishReport["databases"][number]> {
  const removed: string[] = [];
  const report = (what: string) => {
    removed.push(what);
    run.events({ kind: "info", message: `${source.database}: removed ${what}` });
  };
  const details = (records.source ?? records.target)?.details;
  const warnLeft = (left: readonly LeftIdentity[], side: Side) => {
    for (const { changed, reason } of left) {
      run.events({
        kind: "warning",
        side,
        object: `table ${displayName(changed)}`,
        message: `its replica identity ${reason}`,
      });
    }
  };
  // first: what it publishes keeps REPLICA IDENTITY FULL
  if (details?.back != null) {
    const left = await removeStream(details.back, {
      leaves: target,
      arrives: source,
      // what it brought was not copied
      restoresCopies: false,
    });
    report(`the way back ${details.back}`);
    warnLeft(left.leaves, "target");
  }
  for (const name of details?.forward ?? []) {
    const left = await removeStream(name, {
      leaves: source,
      arrives: target,
      restoresCopies: true,
    }).catch((error) => {
      if (!(error instanceof ViolatedKeysError)) throw error;
      onViolated(error);
      return { leaves: [], arrives: [] };
    });
    report(`the stream ${name} to the target`);
    warnLeft(left.leaves, "source");
    warnLeft(left.arrives, "target");
  }
  const tables = await dismantleSide(onTarget, { keepsReadOnly: false });
  report(`the fence of ${plural(tables, "table")} on the target`);
  if (openOldSide) {
    await continueOldSequences({ onSource, onTarget, run });
    const fenced = await dismantleSide(onSource, { keepsReadOnly: false });
    report(`the fence of ${plural(fenced, "table")} on the source, which accepts writes again`);
  }
  return { source: source.database, target: target.database, removed };
}
