/**
 * The switch: closes the side in use and opens the other, for all databases together. `cutover run`
 * and `cutover rollback` are this, in either direction.
 *
 * @module
 */
import {
  addUp,
  errorMessage,
  ExitCode,
  formatDuration,
  joinAll,
  plural,
  ReplicatorError,
  retry,
} from "../core/internal.ts";
import { openSession, ServerError, type Session, SqlState } from "../postgres/internal.ts";
import { acquireBarrier } from "./acquire_barrier.ts";
import { advanceSlotIfIdle, ensureSlot, logRunningTransactions } from "./back_stream.ts";
import { CommitUnknownError } from "./commit.ts";
import { completeSwitch, restoreIfTurning } from "./complete_switch.ts";
import { DatabaseSwitch } from "./database_switch.ts";
import { closedLast, readDurablePauseMs } from "./durable_pause.ts";
import { completeOpening } from "./complete_opening.ts";
import { fenceOf } from "./model.ts";
import { PauseMonitor } from "./pause_monitor.ts";
import { measureTurning, predictPauseMs, type Rehearsal } from "./rehearse.ts";
import { readRefusals, resetRefusalsStatement } from "./refusals.ts";
import { type DatabaseRoute, nameOnSource } from "./route.ts";
import type {
  CutoverHook,
  SwitchContext,
  SwitchedDatabase,
  SwitchFailure,
  SwitchInput,
  SwitchOutcome,
  SwitchReport,
  SwitchSettings,
} from "./switch_options.ts";
import { sessionFenceLimits } from "./session_fence.ts";
import { Timeline } from "./timeline.ts";
import { TokensLateError } from "./token.ts";

/** How long the streams may take to arrive before writers are made to wait. */
const warmUpMs = 30_000;

/**
 * How long a COMMIT may take at least, in milliseconds, however little is left of the pause: it
 * flushes the WAL, and what has been committed cannot be taken back.
 */
const minCommitMs = 2_000;

/** How long a COMMIT may take after the point of no return, in milliseconds. */
const laterCommitMs = 10_000;

/**
 * Closes and opens.
 *
 * Before the point of no return, the first commit that closes a database, every failure rolls
 * everything back: writers continue where they were. After it, the remaining databases are closed
 * and all of them opened; what fails then is repeated, and if the process dies, the same command
 * continues.
 *
 * @returns what was done, also if it failed: either it was abandoned and nothing has changed, or a
 * database is closed and could not be opened, and the same command continues
 */
export async function switchOver(
  input: SwitchInput,
  settings: SwitchSettings,
  context: SwitchContext,
): Promise<SwitchOutcome> {
  const run = new SwitchRun(input, settings, context);
  return await run.perform();
}

/** What the pause showed. */
interface Pause {
  /** When the barrier was granted, on the clock of `performance.now()`. */
  readonly sinceMs: number;
  readonly databases: readonly HeldDatabase[];
}

/** What is known of a database while both sides are closed. */
type HeldDatabase = Omit<SwitchedDatabase, "refusedWrites">;

/** How long writers waited for a barrier that was granted. */
interface BarrierWaits {
  /** When it was begun, on the clock of `performance.now()`. */
  readonly sinceMs: number;
  readonly waiting: readonly SwitchedDatabase["waiting"][];
}

class SwitchRun {
  readonly #input: SwitchInput;
  readonly #settings: SwitchSettings;
  readonly #context: SwitchContext;
  readonly #timeline: Timeline;
  /** Aborts the work before the point of no return. */
  readonly #abort = new AbortController();
  #isPastReturn = false;
  /** Whether the server could not be asked about the first commit. */
  #isUnknown = false;
  #waits: BarrierWaits | undefined;
  #switches: readonly DatabaseSwitch[] = [];
  /** Warnings: what could not be restored, and a close that is not certain. */
  readonly #leftovers: string[] = [];

  constructor(input: SwitchInput, settings: SwitchSettings, context: SwitchContext) {
    this.#input = input;
    this.#settings = settings;
    this.#context = context;
    this.#timeline = new Timeline(context.events);
  }

  async perform(): Promise<SwitchOutcome> {
    const { signal } = this.#context;
    const forward = () => {
      if (!this.#isPastReturn) return this.#abort.abort(signal.reason);
      this.#context.events({
        kind: "info",
        message: "the point of no return has been passed: the switch is completed first",
      });
    };
    signal.addEventListener("abort", forward, { once: true });
    try {
      signal.throwIfAborted();
      return { kind: "switched", report: await this.#perform() };
    } catch (error) {
      return { kind: "failed", failure: this.#describeFailure(error) };
    } finally {
      signal.removeEventListener("abort", forward);
    }
  }

  #describeFailure(error: unknown): SwitchFailure {
    const waits = this.#waits;
    const now = performance.now();
    const released = this.#switches.map(({ releasedMs }) => releasedMs ?? now);
    return {
      error,
      isPastReturn: this.#isPastReturn,
      pauseMs: waits === undefined ? 0 : Math.max(...released) - waits.sinceMs,
      attempts: this.#timeline.attempts,
      databases: this.#input.routes.map((route, index) => ({
        database: nameOnSource(route),
        waiting: waits?.waiting[index] ?? { sessions: 0, longestMs: 0 },
      })),
      steps: this.#timeline.steps,
      warnings: this.#leftovers,
    };
  }

  async #perform(): Promise<SwitchReport> {
    const { closed, opened } = this.#input;
    const routes: DatabaseRoute[] = [];
    for (const route of this.#input.routes) routes.push(await restoreIfTurning(route));
    await using stack = new AsyncDisposableStack();
    const switches: DatabaseSwitch[] = [];
    // first: takes the locks
    for (const route of routes) {
      switches.push(stack.use(await DatabaseSwitch.open(route, this.#abort.signal)));
    }
    this.#switches = switches;
    // the caller has checked them before it asked, perhaps hours ago
    for (const route of routes) await this.#settings.recheck(route);
    await this.#timeline.step("way-back", () => this.#ensureSlots(routes), {
      summarise: (text) => text,
    });
    await this.#timeline.step("drain", () => this.#warmUp(switches), {
      summarise: (ms) => `a token takes ${formatDuration(ms)} to arrive`,
    });
    let held: Pause | undefined;
    try {
      const isHooked = switches.length > 0 && !this.#isContinued &&
        await this.#hook("before", this.#input.routes);
      held = switches.length === 0
        ? undefined
        : await this.#closeAll(switches, isHooked ? performance.now() : undefined);
    } catch (error) {
      if (this.#isPastReturn) throw unfinished(error, this.#isUnknown);
      await this.#giveUp(switches);
      throw error;
    }
    await this.#openClosed(closed);
    this.#timeline.isPause = false;
    const ownPauseMs = held === undefined ? 0 : performance.now() - held.sinceMs;
    const earlier = [...closed, ...opened];
    const { pauseMs, warnings } = await readEarlierPauses(earlier);
    warnings.push(
      ...await completeOpening([...routes, ...earlier], {
        endSessions: this.#settings.endSessions,
        ownPids: (route) => switches.find((each) => each.route === route)?.processIdsOnFrom ?? [],
        hook: (hook) => this.#hook(hook, [...routes, ...earlier, ...this.#input.kept]),
        timeline: this.#timeline,
        events: this.#context.events,
      }),
    );
    warnings.push(...this.#leftovers);
    warnings.push(...await readLateObjects(switches));
    const refused = await countRefusals([...routes, ...earlier]);
    warnings.push(...refused.warnings);
    const { attempts } = this.#timeline;
    return {
      pauseMs: Math.max(ownPauseMs, pauseMs),
      failedAttempts: attempts.length,
      failedAttemptsMs: addUp(attempts.map(({ ms }) => ms)),
      attempts,
      databases: [
        ...held?.databases ?? [],
        ...earlier.map((route) => ({
          database: nameOnSource(route),
          evidence: closedLast(route).details.evidence,
          waiting: { sessions: 0, longestMs: 0 },
        })),
      ].map((each) => ({ ...each, refusedWrites: refused.counts.get(each.database) ?? null })),
      steps: this.#timeline.steps,
      warnings,
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
        await logRunningTransactionsInTime(session);
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
      const seen = await joinAll(switches.map((each) => each.measureDrain(deadline))).catch(
        (error) => {
          throw error instanceof TokensLateError ? notArriving(error) : error;
        },
      );
      const longest = Math.max(0, ...seen.flat().map(({ ms }) => ms));
      if (longest * 2 < maxPauseMs) {
        // outside the pause: during it, only what has changed since has to be carried again
        const startMs = performance.now();
        await joinAll(switches.map((each) => each.carrySequences(this.#settings.sequenceMargin)));
        const sequencesMs = performance.now() - startMs;
        const largeObjectsMs = await this.#carryLargeObjects(switches);
        await this.#predict(switches, { drainMs: [longest], sequencesMs, largeObjectsMs });
        return longest;
      }
      if (performance.now() > deadline) throw tooSlow(longest, maxPauseMs);
    }
  }

  /** @throws ReplicatorError (prerequisite) if the pause would be longer than is allowed */
  async #predict(
    switches: readonly DatabaseSwitch[],
    carried: Pick<Rehearsal, "drainMs" | "sequencesMs" | "largeObjectsMs">,
  ): Promise<void> {
    const { maxPauseMs } = this.#settings;
    const turnings = await joinAll(
      switches.map((each) =>
        measureTurning(each, this.#abort.signal).catch((error) => {
          // another session holds a lock at the moment: the switch itself may not meet it
          if (isLockTimeout(error)) return undefined;
          throw error;
        })
      ),
    );
    const predictedMs = Math.max(
      0,
      ...turnings.map((each) => each === undefined ? 0 : predictPauseMs({ ...carried, ...each })),
    );
    if (predictedMs > maxPauseMs) throw predictedTooLong(predictedMs, maxPauseMs);
  }

  /**
   * Copies what has changed until it is known how long comparing alone takes, in milliseconds.
   */
  async #carryLargeObjects(switches: readonly DatabaseSwitch[]): Promise<number> {
    const { maxPauseMs } = this.#settings;
    const first = await joinAll(switches.map(({ largeObjects }) => largeObjects.carry()));
    if (first.every(({ compared }) => compared === 0)) return 0;
    const { events } = this.#context;
    for (const [index, { compared, copied, removed }] of first.entries()) {
      if (copied + removed === 0) continue;
      events({
        kind: "info",
        message: `${switches[index]!.name}: ${
          plural(compared, "large object")
        } compared before the pause, ${copied} copied, ${removed} removed`,
      });
    }
    const again = await joinAll(switches.map(({ largeObjects }) => largeObjects.carry()));
    const longest = Math.max(...again.map(({ ms }) => ms));
    if (longest * 2 >= maxPauseMs) {
      throw tooManyLargeObjects(longest, {
        maxPauseMs,
        count: addUp(again.map(({ compared }) => compared)),
      });
    }
    return longest;
  }

  /**
   * @param hookedMs when the hook `before` had run, which may hold clients, on the clock of
   * `performance.now()`; undefined without one
   */
  async #closeAll(
    switches: readonly DatabaseSwitch[],
    hookedMs: number | undefined,
  ): Promise<Pause> {
    const { maxPauseMs } = this.#settings;
    const { events } = this.#context;
    const signal = this.#abort.signal;
    const barrier = await this.#timeline.step(
      "barrier",
      () =>
        acquireBarrier(switches, {
          ...this.#settings,
          deadlineMs: hookedMs === undefined ? undefined : hookedMs + maxPauseMs,
          events,
          timeline: this.#timeline,
          signal,
        }),
      {
        summarise: () => {
          const failed = this.#timeline.attempts.length;
          return failed === 0 ? "granted" : `granted at attempt ${failed + 1}`;
        },
        pauseSince: ({ sinceMs }) => sinceMs,
      },
    );
    this.#timeline.isPause = true;
    const deadlineMs = (hookedMs ?? barrier.sinceMs) + maxPauseMs;
    const timer = setTimeout(
      () => this.#abort.abort(pauseExceeded(maxPauseMs)),
      Math.max(0, deadlineMs - performance.now()),
    );
    await using monitor = new PauseMonitor(switches, {
      events,
      startedMs: barrier.sinceMs,
      maxPauseMs,
    });
    try {
      const databases = await this.#closeHeld(switches, deadlineMs).catch((error) => {
        throw error instanceof TokensLateError ? pauseExceeded(maxPauseMs, error) : error;
      });
      signal.throwIfAborted();
      clearTimeout(timer);
      await this.#commitAll(switches, deadlineMs);
      await this.#timeline.step(
        "open",
        () => joinAll(switches.map((each) => each.openOther(laterCommitMs))),
        { summarise: () => `${plural(switches.length, "database")} opened` },
      );
      return {
        ...barrier,
        databases: databases.map((each, index) => ({ ...each, waiting: monitor.waiting(index) })),
      };
    } finally {
      clearTimeout(timer);
      this.#waits = {
        sinceMs: barrier.sinceMs,
        waiting: switches.map((_, index) => monitor.waiting(index)),
      };
    }
  }

  /** Everything up to the commits. */
  async #closeHeld(
    switches: readonly DatabaseSwitch[],
    deadlineMs: number,
  ): Promise<readonly HeldDatabase[]> {
    const { sequenceMargin, finalCheck, maxPauseMs } = this.#settings;
    const signal = this.#abort.signal;
    const timeline = this.#timeline;
    const [[tokens], sequences, objects] = await this.#together([
      timeline.step(
        "drain",
        () =>
          joinAll([
            joinAll(switches.map((each) => each.drain(deadlineMs))),
            // has no effect on others before the commit
            joinAll(switches.map((each) => each.prepareFence())),
          ]),
        { summarise: ([seen]) => `${plural(seen.flat().length, "token")} arrived` },
      ),
      timeline.step(
        "sequences",
        () => joinAll(switches.map((each) => each.carrySequences(sequenceMargin))),
        { summarise: (done) => plural(addUp(done.map(({ count }) => count)), "sequence") },
      ),
      joinAll(switches.map(({ largeObjects }) => largeObjects.carry())),
    ]);
    const databases = switches.map((each, index): HeldDatabase => ({
      database: nameOnSource(each.route),
      evidence: {
        closedAt: this.#settings.now().toISOString(),
        heldSince: each.heldSince ?? null,
        tokens: tokens[index]!,
        sequences: sequences[index]!.count,
        largeObjects: objects[index]!.compared,
        unchecked: [
          ...this.#settings.unchecked,
          ...sequences[index]!.notes,
          ...objects[index]!.notes,
          ...(fenceOf(each.route.fromRecord) === "sessions" ? [sessionFenceLimits] : []),
        ],
      },
      waiting: { sessions: 0, longestMs: 0 },
    }));
    // what these wait for does not depend on one another
    await this.#together([
      timeline.step(
        "final-check",
        () => joinAll(switches.map(({ route }) => finalCheck(route, signal))),
      ),
      timeline.step(
        "way-back",
        () => joinAll(switches.map((each) => each.reverse(deadlineMs))),
        {
          summarise: (seen) =>
            seen.flat().length === 0
              ? "without a way back"
              : `${plural(seen.flat().length, "token")} came back`,
        },
      ),
      timeline.step(
        "open",
        () =>
          joinAll(
            switches.flatMap((each, index) => [
              each.prepareOpening(maxPauseMs),
              each.seal(databases[index]!.evidence!),
            ]),
          ),
        { summarise: () => "prepared" },
      ),
    ]);
    const [unproven] = await this.#together([
      joinAll(switches.map((each, index) => each.proveClosed(tokens[index]!))),
      joinAll(switches.map((each) => each.checkOpening())),
    ]);
    return databases.map((each, index) => ({
      ...each,
      evidence: {
        ...each.evidence!,
        unchecked: [...each.evidence!.unchecked, ...unproven[index]!],
      },
    }));
  }

  /** Writers do not wait for the rest once a part has failed. */
  async #together<const Values extends readonly Promise<unknown>[]>(
    parts: Values,
  ): Promise<{ -readonly [Index in keyof Values]: Awaited<Values[Index]> }> {
    for (const part of parts) part.catch((error) => this.#abort.abort(error));
    try {
      return await joinAll(parts);
    } catch (error) {
      // the first: others have failed because of it
      throw this.#abort.signal.aborted ? this.#abort.signal.reason : error;
    }
  }

  /**
   * The first commit is the point of no return: from then on there is only forward, and what fails
   * is repeated by the same command.
   */
  async #commitAll(switches: readonly DatabaseSwitch[], deadlineMs: number): Promise<void> {
    // they are committed after the first, which is the point of no return
    const longestMs = Math.max(minCommitMs, deadlineMs - performance.now()) +
      laterCommitMs * switches.length;
    await joinAll(switches.slice(1).map((each) => each.holdFor(longestMs)));
    for (const [index, each] of switches.entries()) {
      const timeoutMs = index === 0
        ? Math.max(minCommitMs, deadlineMs - performance.now())
        : laterCommitMs;
      this.#isPastReturn = true;
      try {
        const uncertain = await this.#timeline.step("fence", () => each.close(timeoutMs), {
          ...(switches.length === 1 ? {} : { database: each.name }),
          summarise: () => `${each.name} closed`,
        });
        this.#leftovers.push(...uncertain);
      } catch (error) {
        if (index === 0) {
          this.#isUnknown = error instanceof CommitUnknownError;
          this.#isPastReturn = this.#isUnknown;
        }
        throw error;
      }
    }
  }

  async #giveUp(switches: readonly DatabaseSwitch[]): Promise<void> {
    const left = (await Promise.all(switches.map((each) => each.release()))).flat();
    this.#leftovers.push(...left);
    for (const message of left) {
      this.#context.events({
        kind: "warning",
        message,
        remedy: "run the same command again, or cutover status",
      });
    }
    if (this.#isContinued) return; // clients of closed databases must keep waiting
    try {
      await this.#settings.hook("abort", this.#input.routes);
    } catch (error) {
      const message = `the hook abort failed: ${errorMessage(error)}`;
      this.#leftovers.push(message);
      this.#context.events({ kind: "warning", message });
    }
  }

  /** Databases whose other side an earlier attempt did not open any more. */
  async #openClosed(closed: readonly DatabaseRoute[]): Promise<void> {
    if (closed.length === 0) return;
    this.#isPastReturn = true;
    this.#timeline.isPause = true;
    await this.#timeline.step("open", () => joinAll(closed.map(completeSwitch)), {
      summarise: () => `${plural(closed.length, "database")} opened`,
    });
  }

  /**
   * Whether an earlier attempt has closed a database: it ran the hook `before`, whose effect lasts
   * until all databases are open.
   */
  get #isContinued(): boolean {
    return this.#input.closed.length + this.#input.opened.length > 0;
  }

  /** Runs a hook as a step; returns whether there is one. */
  async #hook(
    hook: Exclude<CutoverHook, "abort">,
    routes: readonly DatabaseRoute[],
  ): Promise<boolean> {
    const running = this.#settings.hook(hook, routes);
    if (running === undefined) return false;
    await this.#timeline.step(`hook-${hook}`, () => running);
    return true;
  }
}

/** Saves time in the pause; a long transaction may hold it up, which is not worth waiting for. */
async function logRunningTransactionsInTime(session: Session): Promise<void> {
  await session.execute(`SET statement_timeout = ${loggingMs}`);
  await logRunningTransactions(session);
  await session.execute("SET statement_timeout = 0");
}

const loggingMs = 1_000;

/** The longest pause of databases that an earlier attempt had closed. */
async function readEarlierPauses(
  routes: readonly DatabaseRoute[],
): Promise<{ readonly pauseMs: number; readonly warnings: string[] }> {
  try {
    const pauses = await joinAll(routes.map(readDurablePauseMs));
    return { pauseMs: Math.max(0, ...pauses), warnings: [] };
  } catch (error) {
    return { pauseMs: 0, warnings: [`the pause could not be read: ${errorMessage(error)}`] };
  }
}

/**
 * Writes that the fences have refused during the switch, by the databases' names on the source. A
 * new count begins.
 */
async function countRefusals(
  routes: readonly DatabaseRoute[],
): Promise<{ readonly counts: ReadonlyMap<string, number>; readonly warnings: readonly string[] }> {
  const counts = new Map<string, number>();
  const warnings: string[] = [];
  for (const route of routes) {
    try {
      // a synchronous standby that held up the close would hold up a new count as well
      await using session = await retry(() =>
        openSession(route.from, { settings: { synchronous_commit: "local" } })
      );
      const count = await readRefusals(session);
      if (count === null) continue;
      counts.set(nameOnSource(route), count);
      // they waited for this switch; what is refused from now on still uses the closed side
      await session.execute(resetRefusalsStatement);
    } catch (error) {
      warnings.push(
        `refused writes of ${route.from.database} could not be counted: ${errorMessage(error)}`,
      );
    }
  }
  return { counts, warnings };
}

/** Large objects that a session has written after they were copied: the fence does not stop it. */
async function readLateObjects(switches: readonly DatabaseSwitch[]): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const { name, largeObjects } of switches) {
    try {
      const late = await largeObjects.readLate();
      if (late.length === 0) continue;
      warnings.push(
        `${
          plural(late.length, "large object")
        } of ${name} changed on the closed side after the copy: ${
          late.slice(0, maxListed).join(", ")
        }${late.length > maxListed ? ", …" : ""}`,
      );
    } catch (error) {
      warnings.push(`large objects of ${name} could not be compared again: ${errorMessage(error)}`);
    }
  }
  return warnings;
}

const maxListed = 10;

function unfinished(error: unknown, isUnknown: boolean): ReplicatorError {
  const place = error instanceof ReplicatorError
    ? { side: error.side, object: error.object, details: error.details }
    : {};
  const opposite =
    "To return to the side that was in use, run the opposite command (rollback after run)";
  return new ReplicatorError(
    (isUnknown
      ? "it is not known whether the point of no return has been passed: "
      : "the point of no return has been passed, and a step failed: ") + errorMessage(error),
    {
      ...place,
      remedy: isUnknown
        ? `once the server answers, run the same command again: it reads the state and continues. ${opposite}`
        : `run the same command again: it continues; until then the closed databases refuse writes on both sides. ${opposite}`,
      cause: error,
    },
  );
}

/** Why a step cannot be done in time. */
function pauseExceeded(maxPauseMs: number, cause?: TokensLateError): ReplicatorError {
  return new ReplicatorError(
    `the pause would have exceeded --max-pause (${
      formatDuration(maxPauseMs)
    }); writers continue on the side in use`,
    {
      details: cause === undefined ? [] : [cause.message],
      remedy: "run cutover rehearse to see what takes the time, or allow a longer pause",
      cause,
    },
  );
}

/** Found before anyone is made to wait. */
function notArriving(error: TokensLateError): ReplicatorError {
  const { message, side, object, remedy } = error;
  return new ReplicatorError(`${message}; nothing was changed`, {
    ...{ side, object, remedy },
    exitCode: ExitCode.prerequisite,
    cause: error,
  });
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

function isLockTimeout(error: unknown): boolean {
  return error instanceof ServerError && error.sqlState === SqlState.lockNotAvailable;
}

function predictedTooLong(ms: number, maxPauseMs: number): ReplicatorError {
  return new ReplicatorError(
    `the pause is expected to take ${formatDuration(ms)}, longer than the allowed ${
      formatDuration(maxPauseMs)
    }; nothing was changed`,
    {
      remedy:
        "run cutover rehearse to see what takes the time, or allow a longer pause with --max-pause",
      exitCode: ExitCode.prerequisite,
    },
  );
}

function tooManyLargeObjects(
  ms: number,
  { maxPauseMs, count }: { readonly maxPauseMs: number; readonly count: number },
): ReplicatorError {
  return new ReplicatorError(
    `comparing ${plural(count, "large object")} takes ${
      formatDuration(ms)
    }, more than half of the allowed pause of ${formatDuration(maxPauseMs)}; nothing was changed`,
    {
      remedy: "allow a longer pause with --max-pause: writers wait while they are compared",
      exitCode: ExitCode.prerequisite,
    },
  );
}
