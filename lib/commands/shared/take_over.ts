/**
 * Applying the changes of streams that no other process applies, or no longer.
 *
 * @module
 */
import { type EventSink, type Lsn, pause, retry, retryEvent } from "../../core/internal.ts";
import { type Endpoint, openSession, ServerError, type Session } from "../../postgres/internal.ts";
import {
  type ApplierProgress,
  readApplierProgress,
  readWaiting,
} from "../../replication/internal.ts";
import { catchUp, type CatchUpOptions } from "./catch_up.ts";
import { ClientStreams } from "./client_streams.ts";
import { ReconnectingSession } from "./reconnecting_session.ts";

/** Streams between two databases. */
export interface StreamsOptions {
  /** The database on the source. */
  readonly source: Endpoint;
  /** The database on the target. */
  readonly target: Endpoint;
  readonly names: readonly string[];
  readonly signal: AbortSignal;
}

/** Begins to apply the changes of those streams that have a client which no process runs. */
export async function startIdle(
  clients: ClientStreams,
  { source, target, names, signal }: StreamsOptions,
): Promise<void> {
  await using session = await retry(() => openSession(target, { signal }), { signal });
  const { idle } = await readClients(session, names);
  clients.start({ source, target, streams: idle });
}

/** Clients of streams, by whether a process runs them. */
interface Clients {
  readonly idle: readonly string[];
  readonly busy: readonly ApplierProgress[];
}

async function readClients(session: Session, names: readonly string[]): Promise<Clients> {
  const appliers = (await readApplierProgress(session, names))
    .filter(({ kind }) => kind === "client");
  const isWaiting = appliers.length === 0 ? () => false : await readWaiting(session);
  const isIdle = ({ name, workerPid }: ApplierProgress) =>
    workerPid === undefined && !isWaiting(name);
  return {
    idle: appliers.filter(isIdle).map(({ name }) => name),
    busy: appliers.filter((applier) => !isIdle(applier)),
  };
}

/** How often the processes that apply changes are looked at. */
const intervalMs = 500;

/** For how long no process runs a stream before it is known to have ended: others reconnect. */
const endedAfterMs = 2_000;

/** In how many readings at least. */
const endedReadings = 3;

/** Which streams no process has run in all readings for long enough. */
class IdleWatch {
  readonly #idle = new Map<string, { readonly sinceMs: number; readings: number }>();

  /** Notes a reading, and returns those that have ended. */
  note(idle: readonly string[]): readonly string[] {
    for (const name of this.#idle.keys()) if (!idle.includes(name)) this.#idle.delete(name);
    const nowMs = performance.now();
    return idle.filter((name) => {
      const seen = this.#idle.get(name) ?? { sinceMs: nowMs, readings: 0 };
      seen.readings++;
      this.#idle.set(name, seen);
      return seen.readings >= endedReadings && nowMs - seen.sinceMs >= endedAfterMs;
    });
  }
}

/** What {@linkcode takeOverEnded} takes besides the streams. */
export interface TakeOverOptions extends StreamsOptions {
  readonly events: EventSink;
  /** Whether the call may return once the other processes are known to be alive. */
  readonly mayEnd: () => boolean;
}

/**
 * Begins to apply the changes of a stream when the process that does so ends. The backend of one
 * that has ended already may hold the stream's lock for minutes: until its statement ends, or its
 * server notices that the connection is gone.
 *
 * @returns when this process applies all, or `mayEnd`, and every other process has written its
 * stream's record since the call, unless the stream was stopped
 */
export async function takeOverEnded(
  clients: ClientStreams,
  { source, target, names, signal, events, mayEnd }: TakeOverOptions,
): Promise<void> {
  const startMs = performance.now();
  await using session = new ReconnectingSession(target, signal);
  let others = names.filter((name) => !clients.has(name));
  let isNudged = false;
  const watch = new IdleWatch();
  while (others.length > 0) {
    const elapsedMs = performance.now() - startMs;
    const answer = await session.query(target.database, (inside) => readClients(inside, others));
    if (answer.reached) {
      const { idle, busy } = answer.value;
      clients.start({ source, target, streams: watch.note(idle) });
      others = [
        ...idle.filter((name) => !clients.has(name)),
        ...busy.filter((applier) => !mayEnd() || isAwaited(applier, elapsedMs))
          .map(({ name }) => name),
      ];
    }
    if (others.length === 0) return;
    if (mayEnd() && !isNudged) {
      isNudged = true;
      await nudge({ source, signal, events });
    }
    await pause(intervalMs, signal);
  }
}

/** Whether a process has yet to show that it is alive. That of a stopped stream writes nothing. */
function isAwaited({ enabled, silenceMs = Infinity }: ApplierProgress, elapsedMs: number): boolean {
  return enabled && silenceMs >= elapsedMs;
}

/** Moves the position of an idle source, so that those who apply its changes write their record. */
async function nudge(
  { source, signal, events }: Pick<TakeOverOptions, "source" | "signal" | "events">,
): Promise<void> {
  try {
    await using session = await openSession(source, { signal });
    await session.execute("SELECT pg_catalog.pg_logical_emit_message(true, 'seren', '')");
  } catch (error) {
    // a standby, for example: they write it every ten seconds as well
    if (!(error instanceof ServerError)) {
      signal.throwIfAborted();
      const what = "waiting for the process that applies changes";
      events(retryEvent({ what, error, attempt: 1, delayMs: intervalMs }));
    }
  }
}

/**
 * Waits until everything that is committed on the source now is on the target, and applies
 * meanwhile the changes of clients that no other process runs.
 *
 * @returns the position of the source that was awaited
 */
export async function catchUpApplying(options: CatchUpOptions): Promise<Lsn> {
  const { source, target, subscriptions: names, signal, events } = options;
  await using clients = new ClientStreams({ events, signal, areIndependent: false });
  await startIdle(clients, { source, target, names, signal });
  return await catchUpTakingOver(clients, options);
}

/**
 * Waits until everything that is committed on the source now is on the target. If a process that
 * applies changes ends meanwhile, `clients` does so.
 *
 * @param options `onFailure`: without it, a failure of any stream is thrown
 */
export async function catchUpTakingOver(
  clients: ClientStreams,
  options: CatchUpOptions & { readonly untilAlive?: boolean },
): Promise<Lsn> {
  const { source, target, subscriptions: names, events, untilAlive = false } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  let isCaughtUp = false;
  const takingOver = takeOverEnded(clients, {
    ...{ source, target, names, signal, events },
    mayEnd: () => isCaughtUp,
  });
  takingOver.catch(() => {}); // awaited below, unless the other fails
  try {
    return await clients.during((async () => {
      const lsn = await Promise.race([
        catchUp({ ...options, signal }),
        // ends only if it fails
        takingOver.then(() => new Promise<never>(() => {})),
      ]);
      isCaughtUp = true;
      if (untilAlive) await takingOver;
      return lsn;
    })());
  } finally {
    stop.abort();
    await takingOver.catch(() => {});
  }
}
