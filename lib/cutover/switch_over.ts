/**
 * The switch: closes the side in use and opens the other, for all databases together. `cutover run`
 * and `cutover rollback` are this, in either direction.
 *
 * @module
 */
import { addUp, errorMessage, formatDuration, joinAll, plural } from "../core/internal.ts";
import { acquireBarrier } from "./acquire_barrier.ts";
import { readEarlierPauses, readLateObjects, takeRefusals } from "./after_switch.ts";
import { CommitUnknownError } from "./commit.ts";
import { completeOpening } from "./complete_opening.ts";
import { completeSwitch, restoreIfTurning } from "./complete_switch.ts";
import { DatabaseSwitch } from "./database_switch.ts";
import { closedLast } from "./durable_pause.ts";
import { OtherCommandError } from "./lock.ts";
import { fenceOf } from "./model.ts";
import { PauseMonitor } from "./pause_monitor.ts";
import { type DatabaseRoute, nameOnSource } from "./route.ts";
import { sessionFenceLimits } from "./session_fence.ts";
import { pauseExceeded, takenOver, unfinished } from "./switch_errors.ts";
import { attemptFigures, noWaiting } from "./switch_figures.ts";
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
import { Timeline } from "./timeline.ts";
import { TokensLateError } from "./token.ts";
import { dropCreatedSlots, ensureSlots, warmUp, type WayBackSlot } from "./warm_up.ts";

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
  /**
   * When the barrier was granted, or the hook `before` had run, which may hold clients, on the
   * clock of `performance.now()`.
   */
  readonly sinceMs: number;
  readonly databases: readonly HeldDatabase[];
}

/** What is known of a database while both sides are closed. */
type HeldDatabase = Omit<SwitchedDatabase, "refusedWrites">;

/** How long writers waited for a barrier that was granted. */
interface BarrierWaits {
  /** As in {@linkcode Pause}. */
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
  readonly #createdSlots: WayBackSlot[] = [];

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
      if (!this.#isPastReturn) {
        for (const message of await dropCreatedSlots(this.#createdSlots)) {
          this.#warn(message, "run the same command again, or cutover status");
        }
      }
      return { kind: "failed", failure: this.#failureOf(error) };
    } finally {
      signal.removeEventListener("abort", forward);
    }
  }

  #failureOf(error: unknown): SwitchFailure {
    const waits = this.#waits;
    const now = performance.now();
    const released = this.#switches.map(({ releasedMs }) => releasedMs ?? now);
    return {
      error,
      isPastReturn: this.#isPastReturn,
      isTakenOver: error instanceof OtherCommandError && !this.#isPastReturn &&
        !this.#isContinued,
      pauseMs: waits === undefined ? 0 : Math.max(...released) - waits.sinceMs,
      attempts: this.#timeline.attempts,
      databases: this.#input.routes.map((route, index) => ({
        database: nameOnSource(route),
        waiting: waits?.waiting[index] ?? noWaiting,
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
    if (switches.length > 0) await this.#warmUp(switches);
    let held: Pause | undefined;
    try {
      await joinAll(switches.map((each) => each.announce()));
      const isHooked = switches.length > 0 && !this.#isContinued &&
        await this.#hook("before", this.#input.routes);
      held = switches.length === 0
        ? undefined
        : await this.#closeAll(switches, isHooked ? performance.now() : undefined);
    } catch (error) {
      if (this.#isPastReturn) throw unfinished(error, this.#isUnknown);
      throw await this.#giveUp(switches, error);
    }
    await this.#openClosed(closed);
    this.#timeline.isPause = false;
    // what follows would move the clients to a side that is closed again
    for (const each of switches) await each.refuseMovedBack();
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
    const refused = await takeRefusals([...routes, ...earlier]);
    warnings.push(...refused.warnings);
    return {
      pauseMs: Math.max(ownPauseMs, pauseMs),
      ...attemptFigures(this.#timeline.attempts),
      databases: [
        ...held?.databases ?? [],
        ...earlier.map((route) => ({
          database: nameOnSource(route),
          evidence: closedLast(route).details.evidence,
          waiting: noWaiting,
        })),
      ].map((each) => ({ ...each, refusedWrites: refused.counts.get(each.database) ?? null })),
      steps: this.#timeline.steps,
      warnings,
    };
  }

  /** What is done before anyone waits. */
  async #warmUp(switches: readonly DatabaseSwitch[]): Promise<void> {
    await this.#timeline.step("way-back", () =>
      ensureSlots(switches, {
        slotTimeoutMs: this.#settings.slotTimeoutMs,
        signal: this.#abort.signal,
        created: this.#createdSlots,
      }), {
      summarise: () => {
        const created = this.#createdSlots.length;
        return created === 0 ? "slots exist" : `${plural(created, "slot")} created`;
      },
    });
    await this.#timeline.step(
      "drain",
      () => warmUp(switches, this.#settings, { ...this.#context, signal: this.#abort.signal }),
      {
        summarise: (ms) => `a token takes ${formatDuration(ms)} to arrive`,
      },
    );
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
    const sinceMs = hookedMs ?? barrier.sinceMs;
    const deadlineMs = sinceMs + maxPauseMs;
    const timer = setTimeout(
      () => this.#abort.abort(pauseExceeded(maxPauseMs)),
      Math.max(0, deadlineMs - performance.now()),
    );
    await using monitor = new PauseMonitor(switches, {
      events,
      startedMs: sinceMs,
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
        sinceMs,
        databases: databases.map((each, index) => ({ ...each, waiting: monitor.waiting(index) })),
      };
    } finally {
      clearTimeout(timer);
      this.#waits = {
        sinceMs,
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
      waiting: noWaiting,
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

  /** Undoes what was begun; returns why it was abandoned. */
  async #giveUp(switches: readonly DatabaseSwitch[], error: unknown): Promise<unknown> {
    await Promise.all(switches.map((each) => each.release()));
    const undoing = switches.map((each) => {
      const writable = Promise.withResolvers<void>();
      const undone = each.undo(writable.resolve);
      return { undone, writable: Promise.race([writable.promise, undone]) };
    });
    const writable = await Promise.allSettled(undoing.map((each) => each.writable));
    let other = writable.map((each) => each.status === "rejected" ? each.reason : undefined)
      .find((reason) => reason instanceof OtherCommandError);
    // clients that it holds need not wait for the streams; not if the hooks of another switch hold
    // and move them now, and those of closed databases must keep waiting
    const aborted = other === undefined && !this.#isContinued ? this.#runAbort() : undefined;
    for (const { undone } of undoing) {
      try {
        for (const message of await undone) {
          this.#warn(message, "run the same command again, or cutover status");
        }
      } catch (cause) {
        if (!(cause instanceof OtherCommandError)) throw cause;
        other = cause;
      }
    }
    await aborted;
    return other === undefined ? error : takenOver(other, error);
  }

  async #runAbort(): Promise<void> {
    try {
      await this.#settings.hook("abort", this.#input.routes);
    } catch (cause) {
      this.#warn(`the hook abort failed: ${errorMessage(cause)}`);
    }
  }

  #warn(message: string, remedy?: string): void {
    this.#leftovers.push(message);
    this.#context.events({
      kind: "warning",
      message,
      ...(remedy === undefined ? {} : { remedy }),
    });
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
