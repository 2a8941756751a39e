/**
 * The switch: closes the side in use and opens the other, for all databases together. `cutover run`
 * and `cutover rollback` are this, in either direction.
 *
 * @module
 */
import {
  errorMessage,
  type EventSink,
  ExitCode,
  formatDuration,
  joinAll,
  pause,
  plural,
  ReplicatorError,
  retry,
  type StepName,
} from "../core/internal.ts";
import { durableSettings, openSession } from "../postgres/internal.ts";
import { advanceSlot, ensureSlot } from "./back_stream.ts";
import {
  type Blocker,
  type BlockerPolicy,
  blockerRemedy,
  describeBlocker,
  removeBlockers,
} from "./blockers.ts";
import {
  CommitUnknownError,
  completeSwitch,
  type DatabaseRoute,
  DatabaseSwitch,
  endClientSessions,
  pauseExceeded,
  restoreIfTurning,
} from "./database_switch.ts";
import type { CloseEvidence } from "./model.ts";
import { settleStatement } from "./own_schema.ts";

/** When a hook runs. */
export const cutoverHooks = ["before", "switch", "abort", "after"] as const;

/** One of {@linkcode cutoverHooks}. */
export type CutoverHook = typeof cutoverHooks[number];

/**
 * Runs a hook for the databases of a switch; the promise is rejected if it fails. Undefined if
 * there is no such hook.
 */
export type HookRunner = (
  hook: CutoverHook,
  routes: readonly DatabaseRoute[],
) => Promise<void> | undefined;

/** How the switch is done. */
export interface SwitchSettings {
  /**
   * How long writers may be made to wait, in milliseconds. When it is exceeded before the point of
   * no return, everything is rolled back and writers continue.
   */
  readonly maxPauseMs: number;
  /** What happens to sessions that hold up the barrier. */
  readonly onBlocker: BlockerPolicy;
  /** How often the barrier is tried. */
  readonly barrierAttempts: number;
  /** Further values of each sequence that are skipped, see `planSequences`. */
  readonly sequenceMargin: number;
  /** Whether client sessions of the closed side are terminated. */
  readonly endSessions: boolean;
  /** How long creating the slot of the way back may take, in milliseconds. */
  readonly slotTimeoutMs: number;
  /** What is not checked, for the report. */
  readonly unchecked: readonly string[];
  /**
   * The last check, while writers wait; throws to abandon the switch. Receives the databases by
   * their route.
   */
  readonly finalCheck: (route: DatabaseRoute, signal: AbortSignal) => Promise<void>;
  readonly hook: HookRunner;
  /** The clock, for the evidence. */
  readonly now: () => Date;
}

/** The caller's side of a switch. */
export interface SwitchContext {
  readonly events: EventSink;
  /** Abandons the switch; ignored once the point of no return has been passed. */
  readonly signal: AbortSignal;
}

/** One step, for the timeline. */
export interface SwitchStep {
  /** Which step. */
  readonly step: StepName;
  /** Since the start of the switch, in milliseconds. */
  readonly atMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** Whether writers were waiting. */
  readonly isPause: boolean;
  /** Its outcome in a few words; empty if there is nothing to say. */
  readonly summary: string;
}

/** What one database went through. */
export interface SwitchedDatabase {
  /** Its name on the source. */
  readonly database: string;
  /** What closing proved; null if it is not known. */
  readonly evidence: CloseEvidence | null;
  /** Sessions that waited for the barrier at most, and the longest of their waits. */
  readonly waiting: { readonly sessions: number; readonly longestMs: number };
}

/** The outcome of a switch. */
export interface SwitchReport {
  /** From the first lock of the barrier that was granted until the other side was open, in ms. */
  readonly pauseMs: number;
  /** Failed attempts at the barrier, each of which made writers wait for a moment. */
  readonly failedAttempts: number;
  readonly databases: readonly SwitchedDatabase[];
  readonly steps: readonly SwitchStep[];
  /** What went wrong after the other side was open, and what to do about it. */
  readonly warnings: readonly string[];
}

/** Databases that were closed by an earlier attempt and must be opened together with the others. */
export interface SwitchInput {
  /** Databases whose side in use is still open. */
  readonly routes: readonly DatabaseRoute[];
  /** Databases that an earlier attempt has closed: only their other side is opened. */
  readonly closed: readonly DatabaseRoute[];
  /** Databases that it has opened: only what follows is done, such as hooks. */
  readonly opened: readonly DatabaseRoute[];
}

/** Pauses between attempts at the barrier. */
const barrierDelaysMs: readonly number[] = [200, 500, 1_000, 2_000, 3_000, 5_000];

/** After removing blockers: an autovacuum, for one, returns after `autovacuum_naptime`. */
const removedDelayMs = 100;

/** From which attempt on blockers are removed: short ones end by themselves. */
const patientAttempts = 3;

/** How long the streams may take to arrive before writers are made to wait. */
const warmUpMs = 30_000;

const monitorMs = 100;

/**
 * Closes and opens.
 *
 * Before the point of no return, the first commit that closes a database, every failure rolls
 * everything back: writers continue where they were. After it, the remaining databases are closed
 * and all of them opened; what fails then is repeated, and if the process dies, the same command
 * continues.
 *
 * @throws ReplicatorError if it was abandoned: nothing has changed; or if a database is closed and
 * could not be opened: the same command continues
 */
export async function switchOver(
  input: SwitchInput,
  settings: SwitchSettings,
  context: SwitchContext,
): Promise<SwitchReport> {
  const run = new SwitchRun(input, settings, context);
  return await run.perform();
}

class SwitchRun {
  readonly #input: SwitchInput;
  readonly #settings: SwitchSettings;
  readonly #context: SwitchContext;
  readonly #steps: SwitchStep[] = [];
  readonly #warnings: string[] = [];
  readonly #startMs = performance.now();
  /** Aborts the work before the point of no return. */
  readonly #abort = new AbortController();
  #pauseStartMs: number | undefined;
  #isPastReturn = false;
  /** Whether the other side is open: writers no longer wait. */
  #isOpen = false;

  constructor(input: SwitchInput, settings: SwitchSettings, context: SwitchContext) {
    this.#input = input;
    this.#settings = settings;
    this.#context = context;
  }

  async perform(): Promise<SwitchReport> {
    const { signal } = this.#context;
    const forward = () => {
      if (!this.#isPastReturn) this.#abort.abort(signal.reason);
    };
    signal.addEventListener("abort", forward, { once: true });
    try {
      signal.throwIfAborted();
      return await this.#perform();
    } finally {
      signal.removeEventListener("abort", forward);
    }
  }

  async #perform(): Promise<SwitchReport> {
    const { closed, opened } = this.#input;
    const routes: DatabaseRoute[] = [];
    for (const route of this.#input.routes) routes.push(await restoreIfTurning(route));
    await this.#step("way-back", () => this.#ensureSlots(routes), { summarise: (text) => text });
    await using stack = new AsyncDisposableStack();
    const switches: DatabaseSwitch[] = [];
    for (const route of routes) {
      switches.push(stack.use(await DatabaseSwitch.open(route, this.#abort.signal)));
    }
    await this.#step("drain", () => this.#warmUp(switches), {
      summarise: (ms) => `a token takes ${formatDuration(ms)} to arrive`,
    });
    let outcome: PauseOutcome;
    try {
      await this.#hook("before");
      outcome = await this.#closeAll(switches);
    } catch (error) {
      if (this.#isPastReturn) throw this.#unfinished(error);
      await this.#giveUp(switches);
      throw error;
    }
    await this.#openClosed(closed);
    this.#isOpen = true;
    const pauseMs = this.#pauseStartMs === undefined ? 0 : performance.now() - this.#pauseStartMs;
    await this.#afterwards([...routes, ...closed, ...opened]);
    return {
      pauseMs,
      failedAttempts: outcome.failedAttempts,
      databases: [
        ...outcome.databases,
        ...[...closed, ...opened].map(({ from, fromRecord }) => ({
          database: from.database,
          evidence: fromRecord.details.evidence,
          waiting: { sessions: 0, longestMs: 0 },
        })),
      ],
      steps: this.#steps,
      warnings: this.#warnings,
    };
  }

  /** The slots of the way back exist before anyone waits for them. */
  async #ensureSlots(routes: readonly DatabaseRoute[]): Promise<string> {
    const { slotTimeoutMs } = this.#settings;
    let created = 0;
    for (const { to, back } of routes) {
      if (back.length === 0) continue;
      await using session = await retry(
        () => openSession(to, { signal: this.#abort.signal }),
        { signal: this.#abort.signal },
      );
      for (const name of back) {
        if (await ensureSlot(session, { name, timeoutMs: slotTimeoutMs }) === "created") created++;
        await advanceSlotIfIdle(session, name);
      }
    }
    return created === 0 ? "slots exist" : `${plural(created, "slot")} created`;
  }

  /** A stream that lags must catch up before anyone is made to wait for it. */
  async #warmUp(switches: readonly DatabaseSwitch[]): Promise<number> {
    const { maxPauseMs } = this.#settings;
    const deadline = performance.now() + Math.max(warmUpMs, maxPauseMs);
    for (const each of switches) await each.deleteOldTokens();
    for (;;) {
      const seen = await joinAll(switches.map((each) => each.measureDrain(deadline)));
      const longest = Math.max(0, ...seen.flat().map(({ ms }) => ms));
      if (longest * 2 < maxPauseMs) {
        // outside the pause: during it, only what was given out since has to be set again
        await joinAll(switches.map((each) => each.carrySequences(this.#settings.sequenceMargin)));
        return longest;
      }
      if (performance.now() > deadline) throw tooSlow(longest, maxPauseMs);
    }
  }

  async #closeAll(switches: readonly DatabaseSwitch[]): Promise<PauseOutcome> {
    if (switches.length === 0) return { failedAttempts: 0, databases: [] };
    const failedAttempts = await this.#acquireBarrier(switches);
    const { maxPauseMs } = this.#settings;
    const deadline = (this.#pauseStartMs ?? performance.now()) + maxPauseMs;
    const timer = setTimeout(
      () => this.#abort.abort(pauseExceeded(maxPauseMs)),
      Math.max(0, deadline - performance.now()),
    );
    const monitor = new PauseMonitor(switches, {
      events: this.#context.events,
      startedMs: this.#pauseStartMs ?? performance.now(),
      maxPauseMs,
    });
    try {
      return {
        failedAttempts,
        databases: await this.#closeHeld(switches, { deadline, monitor, timer }),
      };
    } finally {
      clearTimeout(timer);
      await monitor.stop();
    }
  }

  async #closeHeld(
    switches: readonly DatabaseSwitch[],
    { deadline, monitor, timer }: {
      readonly deadline: number;
      readonly monitor: PauseMonitor;
      readonly timer: ReturnType<typeof setTimeout>;
    },
  ): Promise<readonly SwitchedDatabase[]> {
    const { sequenceMargin, finalCheck } = this.#settings;
    const signal = this.#abort.signal;
    const [tokens] = await this.#step(
      "drain",
      () =>
        joinAll([
          joinAll(switches.map((each) => each.drain(deadline))),
          // no one can notice it before the commit
          joinAll(switches.map((each) => each.prepareFence())),
        ]),
      { summarise: ([seen]) => `${plural(seen.flat().length, "token")} arrived` },
    );
    const sequences = await this.#step(
      "sequences",
      () => joinAll(switches.map((each) => each.carrySequences(sequenceMargin))),
      { summarise: (done) => plural(sum(done.map(({ count }) => count)), "sequence") },
    );
    await this.#step(
      "final-check",
      () => joinAll(switches.map(({ route }) => finalCheck(route, signal))),
      {},
    );
    await this.#step("way-back", () => joinAll(switches.map((each) => each.reverse(deadline))), {
      summarise: (seen) =>
        seen.flat().length === 0
          ? "none was asked for"
          : `${plural(seen.flat().length, "token")} came back`,
    });
    const databases = switches.map((each, index): SwitchedDatabase => ({
      database: each.name,
      evidence: {
        closedAt: this.#settings.now().toISOString(),
        tokens: tokens[index]!,
        sequences: sequences[index]!.count,
        unchecked: [...this.#settings.unchecked, ...sequences[index]!.notes],
      },
      waiting: { sessions: 0, longestMs: 0 },
    }));
    await this.#step("open", () => joinAll(switches.map((each) => each.prepareOpening())), {
      summarise: () => "prepared",
    });
    signal.throwIfAborted();
    clearTimeout(timer);
    await this.#step("fence", () => this.#commitAll(switches, databases), {
      summarise: () => `${plural(switches.length, "database")} closed`,
    });
    await this.#step("open", () => joinAll(switches.map((each) => each.openOther())), {
      summarise: () => `${plural(switches.length, "database")} opened`,
    });
    return databases.map((each, index) => ({ ...each, waiting: monitor.waiting(index) }));
  }

  /**
   * The first commit is the point of no return: from then on there is only forward, and what fails
   * is repeated by the same command.
   */
  async #commitAll(
    switches: readonly DatabaseSwitch[],
    databases: readonly SwitchedDatabase[],
  ): Promise<void> {
    for (const [index, each] of switches.entries()) {
      const evidence = databases[index]!.evidence!;
      this.#isPastReturn = true;
      try {
        await each.close(evidence);
      } catch (error) {
        if (index === 0 && !(error instanceof CommitUnknownError)) this.#isPastReturn = false;
        throw error;
      }
    }
  }

  /** Tries until every database's barrier is held at once. Returns the failed attempts. */
  async #acquireBarrier(switches: readonly DatabaseSwitch[]): Promise<number> {
    const { barrierAttempts, maxPauseMs, onBlocker } = this.#settings;
    const { events } = this.#context;
    events({ kind: "step-started", step: "barrier" });
    for (let attempt = 1;; attempt++) {
      this.#abort.signal.throwIfAborted();
      const start = performance.now();
      const results = await joinAll(switches.map((each) => each.tryBarrier(maxPauseMs)));
      if (results.every(({ isHeld }) => isHeld)) {
        this.#pauseStartMs = start;
        this.#record("barrier", start, {
          isPause: true,
          summary: attempt === 1 ? "granted" : `granted at attempt ${attempt}`,
        });
        return attempt - 1;
      }
      await Promise.all(switches.map((each) => each.release()));
      const found = switches.flatMap((each, index) => {
        const result = results[index]!;
        return result.isHeld ? [] : [{ each, blockers: result.blockers }];
      });
      events({
        kind: "info",
        message: `the barrier was not granted within ${
          formatDuration(performance.now() - start)
        } (attempt ${attempt} of ${barrierAttempts}): ${
          found.flatMap(({ blockers }) => blockers.map(describeBlocker)).join("; ") ||
          "the locks were released in the meantime"
        }`,
      });
      if (attempt >= barrierAttempts) throw blocked(found);
      let delayMs = barrierDelaysMs[Math.min(attempt, barrierDelaysMs.length) - 1]!;
      if (onBlocker !== "wait" && attempt >= patientAttempts) {
        for (const { each, blockers } of found) {
          for (
            const message of await removeBlockers(each.observer, { blockers, policy: onBlocker })
          ) {
            events({ kind: "info", message });
            delayMs = removedDelayMs;
          }
        }
      }
      await pause(delayMs, this.#abort.signal);
    }
  }

  async #giveUp(switches: readonly DatabaseSwitch[]): Promise<void> {
    const left = (await Promise.all(switches.map((each) => each.release()))).flat();
    for (const message of left) {
      this.#context.events({
        kind: "warning",
        message,
        remedy: "run the same command again, or cutover status",
      });
    }
    try {
      await this.#settings.hook("abort", this.#routes);
    } catch (error) {
      this.#context.events({
        kind: "warning",
        message: `the hook abort failed: ${errorMessage(error)}`,
      });
    }
  }

  /** Databases whose other side an earlier attempt did not open any more. */
  async #openClosed(closed: readonly DatabaseRoute[]): Promise<void> {
    if (closed.length === 0) return;
    this.#isPastReturn = true;
    await this.#step("open", () => joinAll(closed.map(completeSwitch)), {
      summarise: () => `${plural(closed.length, "database")} opened`,
    });
  }

  /** What users no longer wait for; failures are reported, the switch has happened. */
  async #afterwards(routes: readonly DatabaseRoute[]): Promise<void> {
    await this.#tolerate("hook-switch", () => this.#hook("switch"));
    for (const { from, out } of routes) {
      await this.#attempt("tripwire", async () => {
        await using session = await retry(() => openSession(from));
        for (const slot of out) await advanceSlotIfIdle(session, slot);
      });
    }
    if (this.#settings.endSessions) {
      for (const { from } of routes) {
        await this.#attempt("end-sessions", async () => {
          const { ended, refused } = await endClientSessions(from);
          if (refused > 0) {
            this.#warnings.push(
              `${
                plural(refused, "session")
              } of database ${from.database} on the ${from.side} could not be terminated: the role lacks pg_signal_backend; they can no longer write`,
            );
          }
          return `${plural(ended, "session")} of ${from.database} terminated`;
        });
      }
    }
    await this.#tolerate("hook-after", () => this.#hook("after"));
    for (const { to } of routes) {
      await this.#tolerate("open", async () => {
        await using session = await retry(() => openSession(to, { settings: durableSettings }));
        await session.execute(settleStatement);
      });
    }
  }

  async #attempt(step: StepName, work: () => Promise<string | void>): Promise<void> {
    await this.#tolerate(
      step,
      () => this.#step(step, work, { summarise: (text) => text ?? "" }),
    );
  }

  /** Reports a failure and continues. */
  async #tolerate(step: StepName, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const message = `${step}: ${errorMessage(error)}`;
      this.#warnings.push(message);
      this.#context.events({
        kind: "warning",
        message: `the other side is open, but this step failed: ${message}`,
      });
    }
  }

  async #step<Result>(
    step: StepName,
    work: () => Promise<Result>,
    { summarise = () => "" }: { readonly summarise?: (result: Result) => string },
  ): Promise<Result> {
    const { events } = this.#context;
    events({ kind: "step-started", step });
    const start = performance.now();
    const isPause = this.#pauseStartMs !== undefined && !this.#isOpen;
    const result = await work();
    this.#record(step, start, { isPause, summary: summarise(result) });
    return result;
  }

  #record(
    step: StepName,
    start: number,
    { isPause, summary }: { readonly isPause: boolean; readonly summary: string },
  ): void {
    const ms = performance.now() - start;
    this.#steps.push({ step, atMs: start - this.#startMs, ms, isPause, summary });
    this.#context.events({
      kind: "step-finished",
      step,
      ms,
      ...(summary === "" ? {} : { summary }),
    });
  }

  get #routes(): readonly DatabaseRoute[] {
    return [...this.#input.routes, ...this.#input.closed];
  }

  /** Runs a hook as a step, if there is one. */
  async #hook(hook: Exclude<CutoverHook, "abort">): Promise<void> {
    const running = this.#settings.hook(hook, this.#routes);
    if (running !== undefined) await this.#step(`hook-${hook}`, () => running, {});
  }

  #unfinished(error: unknown): ReplicatorError {
    return new ReplicatorError(
      `the point of no return has been passed, and a step failed: ${errorMessage(error)}`,
      {
        remedy:
          "run the same command again: it continues; until then the closed databases refuse writes on both sides. " +
          "To return to the side that was in use, run the opposite command (rollback after run)",
        cause: error,
      },
    );
  }
}

interface PauseOutcome {
  readonly failedAttempts: number;
  readonly databases: readonly SwitchedDatabase[];
}

/** A slot that is being read cannot be advanced, and need not be. */
async function advanceSlotIfIdle(
  session: Parameters<typeof advanceSlot>[0],
  slot: string,
): Promise<void> {
  const [row] = await session.query<{ readonly active: boolean }>(
    "SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
    [slot],
  );
  if (row?.active === false) await advanceSlot(session, slot);
}

interface MonitorOptions {
  readonly events: EventSink;
  /** When the barrier was granted, on the clock of `performance.now()`. */
  readonly startedMs: number;
  readonly maxPauseMs: number;
}

/** Reports, while writers wait, how they feel it. */
class PauseMonitor {
  readonly #switches: readonly DatabaseSwitch[];
  readonly #options: MonitorOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #waiting: { sessions: number; longestMs: number }[];

  constructor(switches: readonly DatabaseSwitch[], options: MonitorOptions) {
    this.#switches = switches;
    this.#options = options;
    this.#waiting = switches.map(() => ({ sessions: 0, longestMs: 0 }));
    this.#running = this.#run();
  }

  /** The most sessions of a database that waited at once, and the longest wait. */
  waiting(index: number): { readonly sessions: number; readonly longestMs: number } {
    return { ...this.#waiting[index]! };
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const { events, startedMs, maxPauseMs } = this.#options;
    events({
      kind: "cutover-pause",
      pauseMs: performance.now() - startedMs,
      maxPauseMs,
      waiting: 0,
      longestWaitMs: 0,
      lagBytes: 0,
      isOver: true,
    });
  }

  async #run(): Promise<void> {
    const { events, startedMs, maxPauseMs } = this.#options;
    try {
      for (;;) {
        const now = await Promise.all(this.#switches.map((each) => each.waiters()));
        const lags = await Promise.all(this.#switches.map((each) => each.lagBytes()));
        now.forEach(({ sessions, longestMs }, index) => {
          const known = this.#waiting[index]!;
          known.sessions = Math.max(known.sessions, sessions);
          known.longestMs = Math.max(known.longestMs, longestMs);
        });
        events({
          kind: "cutover-pause",
          pauseMs: performance.now() - startedMs,
          maxPauseMs,
          waiting: sum(now.map(({ sessions }) => sessions)),
          longestWaitMs: Math.max(0, ...now.map(({ longestMs }) => longestMs)),
          lagBytes: Math.max(0, ...lags),
          isOver: false,
        });
        await pause(monitorMs, this.#stop.signal);
      }
    } catch {
      // stopped, or the session ended with the switch, which reports its own error
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function tooSlow(ms: number, maxPauseMs: number): ReplicatorError {
  return new ReplicatorError(
    `replication is too slow: a token takes ${
      formatDuration(ms)
    } to arrive, more than half of the allowed pause of ${
      formatDuration(maxPauseMs)
    }; nothing was changed`,
    {
      remedy: "wait until status shows no lag, or allow a longer pause with --max-pause",
      exitCode: ExitCode.prerequisite,
    },
  );
}

function blocked(
  found: readonly { readonly each: DatabaseSwitch; readonly blockers: readonly Blocker[] }[],
): ReplicatorError {
  const [first] = found;
  return new ReplicatorError(
    "other transactions hold locks on tables in scope; writers continue, nothing was changed",
    {
      side: first?.each.route.from.side,
      details: found.flatMap(({ each, blockers }) =>
        blockers.flatMap((blocker) => [
          `${each.name}: ${describeBlocker(blocker)}`,
          `  → ${blockerRemedy(blocker, each.route.from.side)}`,
        ])
      ),
      remedy: "end them and run again, or use --on-blocker cancel or terminate",
      exitCode: ExitCode.prerequisite,
    },
  );
}
