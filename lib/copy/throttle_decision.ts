/**
 * When a copy slows down for its source's sake, and what it tells. Pure.
 *
 * @module
 */
import {
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  type ThrottleSubject,
} from "../core/internal.ts";

/** A session that waits. */
export interface Waiter {
  readonly processId: number;
  readonly role: string;
  /** What it wants to do: `ALTER TABLE`. */
  readonly command: string;
  /** The table that it waits for; undefined where that cannot be told. */
  readonly relation: string | undefined;
  readonly waitedSeconds: number;
  /** Whether it waits behind another one that waits, not for the copy itself. */
  readonly behind: boolean;
}

/** How the source is at a moment. */
export interface SourceSample {
  /** What the copy has read a second since the sample before. */
  readonly bytesPerSecond: number;
  /** Servers that follow the source, and how far each is behind. */
  readonly standbys: readonly { readonly name: string; readonly lagBytes: number }[];
  /** Sessions that wait for a lock of the copy's, directly or behind another one. */
  readonly waiters: readonly Waiter[];
  /** Transactions that were begun since the copy's snapshot; undefined where it may not be read. */
  readonly snapshotAge: number | undefined;
}

/** What counts as suffering. */
export interface ThrottleLimits {
  /** A standby may fall this much further behind than it was at the beginning. */
  readonly lagBytes: number;
  /** No slower than this: a copy that hardly moves keeps its snapshot for ever. */
  readonly minBytesPerSecond: number;
  /** So often in a row slowing may show no effect. */
  readonly fruitless: number;
  /** A snapshot of this age is told of, and again whenever it has doubled. */
  readonly snapshotAge: number;
}

/** The limits that hold unless a test wants others. */
export const throttleLimits: ThrottleLimits = {
  lagBytes: 256 * 1024 * 1024,
  minBytesPerSecond: 4 * 1024 * 1024,
  fruitless: 6,
  snapshotAge: 10_000_000,
};

/** What the governor knows from before. */
export interface ThrottleState {
  /** Undefined while the copy may go as fast as it can. */
  readonly bytesPerSecond: number | undefined;
  /** How fast it was before it was slowed. */
  readonly unhindered: number;
  /** Lag of each standby when it was first seen, or was given up. */
  readonly baselines: Readonly<Record<string, number>>;
  readonly lastLags: Readonly<Record<string, number>>;
  readonly fruitless: number;
  readonly reportedAge: number;
  readonly reportedWaiters: readonly number[];
  /** How long the first of them had waited when it was last told. */
  readonly reportedWaitSeconds: number;
}

/** Before anything is known. */
export const initialThrottleState: ThrottleState = {
  bytesPerSecond: undefined,
  unhindered: 0,
  baselines: {},
  lastLags: {},
  fruitless: 0,
  reportedAge: 0,
  reportedWaiters: [],
  reportedWaitSeconds: 0,
};

/** Something that the user should know. */
export interface ThrottleNote {
  readonly about: ThrottleSubject;
  readonly message: string;
  /** What to do about it, for what slowing down does not help: then it is a warning too. */
  readonly remedy?: string;
  /** Whether it has passed. */
  readonly over?: true;
}

/** The next state, and what is to be told. */
export interface ThrottleDecision {
  readonly state: ThrottleState;
  readonly notes: readonly ThrottleNote[];
}

/**
 * Halves the speed while a standby falls behind, doubles it when that has caught up, and gives a
 * standby up that falls behind however slow the copy is.
 *
 * Sessions that wait for the copy's locks are told of, with what they want and how to end it; so is
 * the age of the snapshot. The locks (ACCESS SHARE on every table, so what waits is ALTER TABLE and
 * the like, and all that queues up behind it) and the snapshot last until the rows are in, whatever
 * the speed and the number of sessions: slower would make both worse. So neither slows the copy,
 * and a copy that others wait for is not slowed any further.
 */
export function decideRate(
  state: ThrottleState,
  sample: SourceSample,
  limits: ThrottleLimits = throttleLimits,
): ThrottleDecision {
  const followed = followStandbys(state, sample, limits);
  const waited = reportWaiters(followed.state, sample);
  const aged = reportAge(waited.state, sample, limits);
  return { state: aged.state, notes: [...followed.notes, ...waited.notes, ...aged.notes] };
}

function followStandbys(
  before: ThrottleState,
  { standbys, waiters, bytesPerSecond: measured }: SourceSample,
  limits: ThrottleLimits,
): ThrottleDecision {
  const baselines = Object.fromEntries(
    standbys.map(({ name, lagBytes }) => [name, before.baselines[name] ?? lagBytes]),
  );
  const lastLags = Object.fromEntries(standbys.map(({ name, lagBytes }) => [name, lagBytes]));
  const state = {
    ...before,
    baselines,
    lastLags,
    unhindered: before.bytesPerSecond === undefined ? measured : before.unhindered,
  };
  const [worst] = standbys.map(({ name, lagBytes }) => ({
    name,
    lagBytes,
    excess: lagBytes - baselines[name]!,
    grows: lagBytes >= (before.lastLags[name] ?? 0),
  })).sort((a, b) => b.excess - a.excess);
  const limit = before.bytesPerSecond;
  if (worst !== undefined && worst.excess > limits.lagBytes) {
    if (!worst.grows) return unchanged({ ...state, fruitless: 0 });
    const behind = `standby ${worst.name} is ${formatBytes(worst.lagBytes)} behind`;
    if (state.fruitless >= limits.fruitless) {
      return tell(
        {
          ...state,
          bytesPerSecond: undefined,
          fruitless: 0,
          baselines: { ...baselines, [worst.name]: worst.lagBytes },
        },
        `back to full speed: ${behind} and falls further behind however slow the copy is`,
      );
    }
    if (limit === undefined && measured === 0) return unchanged(state); // nothing to slow
    // who waits for the copy to end would wait longer
    if (waiters.length > 0) return unchanged(state);
    const next = Math.max(limits.minBytesPerSecond, (limit ?? measured) / 2);
    const slowed = { ...state, bytesPerSecond: next, fruitless: state.fruitless + 1 };
    return next === limit
      ? unchanged(slowed)
      : tell(slowed, `slowed to ${formatBytes(next)}/s: ${behind}`);
  }
  if (limit === undefined || (worst?.excess ?? 0) > limits.lagBytes / 4) return unchanged(state);
  const next = limit * 2;
  if (next >= state.unhindered) {
    return tell(
      { ...state, bytesPerSecond: undefined, fruitless: 0 },
      "back to full speed: the standbys have caught up",
    );
  }
  return tell(
    { ...state, bytesPerSecond: next, fruitless: 0 },
    `up to ${formatBytes(next)}/s again: the standbys have caught up`,
  );
}

function reportWaiters(before: ThrottleState, { waiters }: SourceSample): ThrottleDecision {
  const reportedWaiters = waiters.map(({ processId }) => processId);
  const longest = waiters.reduce((most, { waitedSeconds }) => Math.max(most, waitedSeconds), 0);
  const state = { ...before, reportedWaiters };
  if (waiters.length === 0) {
    if (before.reportedWaiters.length === 0) return unchanged(state);
    return {
      state: { ...state, reportedWaitSeconds: 0 },
      notes: [{
        about: "locks",
        message: "nobody waits for the copy's locks any more",
        over: true,
      }],
    };
  }
  const isFresh = waiters.some(({ processId }) => !before.reportedWaiters.includes(processId));
  if (!isFresh && longest < Math.max(minReportAgainSeconds, 2 * before.reportedWaitSeconds)) {
    return unchanged(state);
  }
  return {
    state: { ...state, reportedWaitSeconds: longest },
    notes: [{
      about: "locks",
      message: describeWaiters(waiters, longest),
      ...(isFresh ? { remedy: waitersRemedy(waiters) } : {}),
    }],
  };
}

/** Somebody who still waits is told of again after so long, and whenever the time has doubled. */
const minReportAgainSeconds = 30;
const maxNamed = 3;

function describeWaiters(waiters: readonly Waiter[], longest: number): string {
  const first = waiters.filter(({ behind }) => !behind);
  const named = first.slice(0, maxNamed).map(({ processId, role, command, relation }) =>
    `pid ${processId} of ${role} (${command}${relation === undefined ? "" : ` on ${relation}`})`
  );
  const behind = waiters.length - first.length;
  return `${
    plural(waiters.length, "session waits", "sessions wait")
  } on the source for locks that the copy holds, ${formatDuration(longest * 1000)} so far: ${
    named.join(", ")
  }${first.length > named.length ? ", …" : ""}${
    behind === 0
      ? ""
      : `, and behind ${first.length === 1 ? "it" : "them"} ${formatCount(behind)} more`
  }`;
}

function waitersRemedy(waiters: readonly Waiter[]): string {
  const ids = waiters.filter(({ behind }) => !behind).map(({ processId }) => processId);
  return `the locks last until the rows of this database are in, and a slower copy would hold them longer: ${
    ids.slice(0, maxNamed).map((id) => `SELECT pg_catalog.pg_cancel_backend(${id})`).join("; ")
  } ends the wait and lets others pass; or end this run with Ctrl-C, which keeps what is done, and run it again after the change (one that alters tables makes the copy begin anew)`;
}

function reportAge(
  state: ThrottleState,
  { snapshotAge }: SourceSample,
  limits: ThrottleLimits,
): ThrottleDecision {
  const due = state.reportedAge === 0 ? limits.snapshotAge : state.reportedAge * 2;
  if (snapshotAge === undefined || snapshotAge < due) return unchanged(state);
  return {
    state: { ...state, reportedAge: snapshotAge },
    notes: [{
      about: "snapshot",
      message: `the copy's snapshot is ${
        formatCount(snapshotAge)
      } transactions old: since it was taken VACUUM has removed no dead row on the source's whole server`,
      remedy:
        "tables with many updates grow until the copy has ended, which --max-rate and waiting for standbys put off; if they must not, end this run and copy the largest tables at a quieter time",
    }],
  };
}

function unchanged(state: ThrottleState): ThrottleDecision {
  return { state, notes: [] };
}

function tell(state: ThrottleState, message: string): ThrottleDecision {
  const over = state.bytesPerSecond === undefined ? { over: true } as const : {};
  return { state, notes: [{ about: "speed", message, ...over }] };
}
