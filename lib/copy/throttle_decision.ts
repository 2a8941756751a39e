/**
 * When a copy slows down to spare its source, and what it reports. Pure.
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

/** A session that waits for a lock. */
export interface Waiter {
  readonly processId: number;
  readonly role: string;
  /** The command that waits: `ALTER TABLE`. */
  readonly command: string;
  /** The table that it waits for; undefined if unknown. */
  readonly relation: string | undefined;
  readonly waitedSeconds: number;
  /** Whether it waits behind another waiter rather than for the copy itself. */
  readonly behind: boolean;
}

/** The state of the source at one moment. */
export interface SourceSample {
  /** What the copy has read per second since the previous sample. */
  readonly bytesPerSecond: number;
  /** Standbys of the source, and their lag. */
  readonly standbys: readonly { readonly name: string; readonly lagBytes: number }[];
  /** Sessions that wait for a lock of the copy, directly or behind another one. */
  readonly waiters: readonly Waiter[];
  /** Transactions started since the copy's snapshot; undefined if it may not be read. */
  readonly snapshotAge: number | undefined;
}

/** When the source needs relief. */
export interface ThrottleLimits {
  /** Permitted growth of a standby's lag. */
  readonly lagBytes: number;
  /** Lower bound of the rate: a copy that hardly progresses never releases its snapshot. */
  readonly minBytesPerSecond: number;
  /** How often in a row slowing down may have no effect. */
  readonly fruitless: number;
  /** A snapshot of this age is reported, and again whenever the age has doubled. */
  readonly snapshotAge: number;
}

/** Default limits. */
export const throttleLimits: ThrottleLimits = {
  lagBytes: 256 * 1024 * 1024,
  minBytesPerSecond: 4 * 1024 * 1024,
  fruitless: 6,
  snapshotAge: 10_000_000,
};

/** What the throttle knows from earlier samples. */
export interface ThrottleState {
  /** Undefined for full speed. */
  readonly bytesPerSecond: number | undefined;
  /** The rate before it was slowed down. */
  readonly unhindered: number;
  /** Lag of each standby when it was first seen or given up. */
  readonly baselines: Readonly<Record<string, number>>;
  readonly lastLags: Readonly<Record<string, number>>;
  readonly fruitless: number;
  readonly reportedAge: number;
  readonly reportedWaiters: readonly number[];
  /** How long the first of them had waited when last reported. */
  readonly reportedWaitSeconds: number;
}

/** Before the first sample. */
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

/** Something to report to the user. */
export interface ThrottleNote {
  readonly about: ThrottleSubject;
  readonly message: string;
  /** Set for problems that slowing down does not solve; the note is then a warning too. */
  readonly remedy?: string;
  /** Whether the problem is over. */
  readonly over?: true;
}

/** The next state, and what to report. */
export interface ThrottleDecision {
  readonly state: ThrottleState;
  readonly notes: readonly ThrottleNote[];
}

/**
 * Halves the rate while a standby falls behind, doubles it after the standby has caught up, and
 * gives up on a standby that falls behind however slow the copy is.
 *
 * Sessions that wait for the copy's locks are reported with their command and a remedy, and so is
 * the age of the snapshot. Locks (ACCESS SHARE on every table, which blocks ALTER TABLE and
 * whatever queues behind it) and snapshot last until the rows are copied, so a slower copy would
 * make both worse: neither slows the copy, and a copy that sessions wait for is not slowed further.
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
      return report(
        {
          ...state,
          bytesPerSecond: undefined,
          fruitless: 0,
          baselines: { ...baselines, [worst.name]: worst.lagBytes },
        },
        `back to full speed: ${behind} and keeps falling behind even when the copy is slowed`,
      );
    }
    if (limit === undefined && measured === 0) return unchanged(state); // nothing to slow
    // sessions that wait for the copy would wait longer
    if (waiters.length > 0) return unchanged(state);
    const next = Math.max(limits.minBytesPerSecond, (limit ?? measured) / 2);
    const slowed = { ...state, bytesPerSecond: next, fruitless: state.fruitless + 1 };
    return next === limit
      ? unchanged(slowed)
      : report(slowed, `slowed to ${formatBytes(next)}/s: ${behind}`);
  }
  if (limit === undefined || (worst?.excess ?? 0) > limits.lagBytes / 4) return unchanged(state);
  const next = limit * 2;
  if (next >= state.unhindered) {
    return report(
      { ...state, bytesPerSecond: undefined, fruitless: 0 },
      "back to full speed: the standbys have caught up",
    );
  }
  return report(
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
        message: "no sessions are waiting for the copy's locks any more",
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

/** A wait is reported again after this time, and whenever it has doubled. */
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
      : `, with ${formatCount(behind)} more queued behind ${first.length === 1 ? "it" : "them"}`
  }`;
}

function waitersRemedy(waiters: readonly Waiter[]): string {
  const ids = waiters.filter(({ behind }) => !behind).map(({ processId }) => processId);
  return `the locks are held until the rows of this database are copied, and a slower copy would hold them longer. To cancel the waiting command so that others can proceed: ${
    ids.slice(0, maxNamed).map((id) => `SELECT pg_catalog.pg_cancel_backend(${id})`).join("; ")
  }; or interrupt this run with Ctrl-C, which keeps what is copied, and run it again after the change (the copy starts over if tables were altered)`;
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
      } transactions old: since then VACUUM has not been able to remove dead rows anywhere on the source server`,
      remedy:
        "tables with many updates grow until the copy ends, which --max-rate and lagging standbys delay; if they must not grow, interrupt this run and copy the largest tables during a quieter period",
    }],
  };
}

function unchanged(state: ThrottleState): ThrottleDecision {
  return { state, notes: [] };
}

function report(state: ThrottleState, message: string): ThrottleDecision {
  const over = state.bytesPerSecond === undefined ? { over: true } as const : {};
  return { state, notes: [{ about: "speed", message, ...over }] };
}
