/**
 * What an interrupted cutover command leaves: which side accepts writes, whether anything was
 * changed, and what to run next.
 *
 * @module
 */
import type { CutoverAction } from "../../config/internal.ts";
import { errorMessage, InterruptedError } from "../../core/internal.ts";
import type { CutoverPhase } from "../../cutover/internal.ts";
import type { RunContext } from "../shared/run.ts";
import { type CutoverServers, readCutover } from "./read_cutover.ts";

/** How long the servers may take to answer while the user waits for the command to end. */
const readingMs = 10_000;

/**
 * Does the work; if it is interrupted, throws an error that says in which state the databases are.
 */
export async function explainInterruption<Result>(
  action: CutoverAction,
  { servers, run }: { readonly servers: CutoverServers; readonly run: RunContext },
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw await explained(error, { action, servers, run });
  }
}

/** The same error, unless the signal was its reason and nothing has explained it yet. */
export async function explained(
  error: unknown,
  { action, servers, run, hasBegun = false }: {
    readonly action: CutoverAction;
    readonly servers: CutoverServers;
    readonly run: RunContext;
    /** Whether the action may have changed something. */
    readonly hasBegun?: boolean;
  },
): Promise<unknown> {
  const isBare = error instanceof InterruptedError && run.signal.aborted &&
    error === run.signal.reason;
  if (!isBare) return error;
  try {
    const databases = await readCutover(servers, {
      ...run,
      signal: AbortSignal.timeout(readingMs),
    });
    return interruption(
      action,
      databases.map(({ source, phase }) => ({ name: source.database, phase })),
      { hasBegun },
    );
  } catch (cause) {
    return new InterruptedError("interrupted; which side accepts writes could not be read", {
      details: [errorMessage(cause)],
      remedy: "run cutover status once both servers answer",
    });
  }
}

interface InterruptedDatabase {
  readonly name: string;
  readonly phase: CutoverPhase;
}

/** The error of an action that ended before it had closed or opened anything. Pure. */
export function interruption(
  action: CutoverAction,
  databases: readonly InterruptedDatabase[],
  { hasBegun = false }: { readonly hasBegun?: boolean } = {},
): InterruptedError {
  const known = databases.filter(({ phase }) => phase !== "none");
  const has = (phase: CutoverPhase) => known.some((each) => each.phase === phase);
  const isPartly = action === "prepare" && (hasBegun || has("preparing")) ||
    action === "finish" && has("finished");
  const changed = !isPartly
    ? "nothing was changed"
    : action === "prepare"
    ? "the preparation is not complete"
    : "the way back is removed, at least in part";
  const states = new Set(known.map(({ phase }) => accepts[phase]));
  const [only] = states;
  return new InterruptedError(
    `interrupted; ${changed}; ${
      only === undefined
        ? "no cutover is prepared"
        : states.size === 1
        ? only
        : "the databases are in different states"
    }`,
    {
      details: states.size < 2 ? [] : known.map(({ name, phase }) => `${name}: ${accepts[phase]}`),
      remedy: has("closing") || has("returning")
        ? "cutover run opens the target, cutover rollback the source"
        : action === "prepare" && isPartly
        ? "run cutover prepare again; or cleanup, which removes what was prepared"
        : action === "status"
        ? undefined
        : `run cutover ${action} again; cutover status shows what else is possible`,
    },
  );
}

const accepts: Readonly<Record<CutoverPhase, string>> = {
  none: "no cutover is prepared",
  preparing: "the source accepts writes",
  prepared: "the source accepts writes, the target refuses them",
  closing: "both sides refuse writes",
  switched: "the target accepts writes, the source refuses them",
  returning: "both sides refuse writes",
  finished: "the target accepts writes",
  contradictory: "which side accepts writes is not known",
};
