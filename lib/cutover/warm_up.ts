/**
 * What is done before anyone is made to wait: the slots of the way back, and what only has to be
 * carried on during the pause. Refuses a pause that would be too long.
 *
 * @module
 */
import { addUp, errorMessage, joinAll, plural, retry } from "../core/internal.ts";
import { openSession, type Session } from "../postgres/internal.ts";
import { tryOpening, type TryOpeningOptions } from "./acquire_opening.ts";
import { ensureSlot, logRunningTransactions } from "./back_stream.ts";
import type { DatabaseSwitch } from "./database_switch.ts";
import { lockCutover } from "./lock.ts";
import { isSameState } from "./model.ts";
import { isHeldByOthers } from "./open_side.ts";
import { readSide } from "./own_schema.ts";
import { measureTurning, predictPauseMs, type Rehearsal } from "./rehearse.ts";
import type { DatabaseRoute } from "./route.ts";
import { notArriving, predictedTooLong, tooManyLargeObjects, tooSlow } from "./switch_errors.ts";
import type { SwitchContext, SwitchSettings } from "./switch_options.ts";
import { TokensLateError } from "./token.ts";
import { skipReplicated } from "./turn_streams.ts";

/** How long the streams may take to arrive before writers are made to wait. */
const warmUpMs = 30_000;

/** A slot of the way back that a switch has created. */
export interface WayBackSlot {
  readonly route: DatabaseRoute;
  readonly name: string;
}

/**
 * Creates the slots of the way back that do not exist, and advances those that do past what
 * replication has brought.
 *
 * @param created receives those that it creates, also if it fails
 * @throws ReplicatorError if something else was written on the side that will be opened
 */
export async function ensureSlots(
  switches: readonly DatabaseSwitch[],
  { slotTimeoutMs, signal, created }: {
    readonly slotTimeoutMs: number;
    readonly signal: AbortSignal;
    readonly created: WayBackSlot[];
  },
): Promise<void> {
  for (const each of switches) {
    const { route } = each;
    const { to, back } = route;
    if (back.length === 0) continue;
    await using session = await retry(() => openSession(to, { signal }), { signal });
    await each.joinTo(session);
    for (const name of back) {
      if (await ensureSlot(session, { name, timeoutMs: slotTimeoutMs }) === "created") {
        created.push({ route, name });
      }
      await logRunningTransactionsInTime(session);
    }
    await skipReplicated(route, session);
  }
}

/**
 * Drops the slots that an abandoned switch has created: nothing would read them until the next one,
 * and they would retain WAL on the side that is not in use. Leaves them alone where another command
 * has begun to work on the database.
 *
 * @returns what could not be dropped
 */
export async function dropCreatedSlots(
  created: readonly WayBackSlot[],
): Promise<readonly string[]> {
  const left: string[] = [];
  for (const { route: { to, toRecord }, name } of created) {
    try {
      await using session = await retry(() => openSession(to));
      await lockCutover(session);
      if (!isSameState(await readSide(session), toRecord)) continue;
      await session.query(dropIdleStatement, [name]);
    } catch (error) {
      left.push(
        `the slot ${name} of the way back was not dropped, and retains WAL on the ${to.side}: ${
          errorMessage(error)
        }`,
      );
    }
  }
  return left;
}

const dropIdleStatement = `
  SELECT pg_catalog.pg_drop_replication_slot(slot_name)
    FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND NOT active`;

/**
 * Waits until a token arrives fast enough and the other side can be opened, and carries sequences
 * and large objects, so that the pause has only to carry what changes from then on.
 *
 * @returns how long a token takes to arrive, in milliseconds
 * @throws ReplicatorError (prerequisite) if the pause would be longer than is allowed, or others
 * hold the locks that opening the other side takes
 */
export async function warmUp(
  switches: readonly DatabaseSwitch[],
  settings: Pick<
    SwitchSettings,
    "maxPauseMs" | "sequenceMargin" | "barrierAttempts" | "onBlocker"
  >,
  context: SwitchContext,
): Promise<number> {
  const { maxPauseMs, sequenceMargin } = settings;
  for (const each of switches) await each.deleteOldTokens();
  const longest = await awaitShortDrain(switches, maxPauseMs);
  // outside the pause: during it, only what has changed since has to be carried again
  const startMs = performance.now();
  await joinAll(switches.map((each) => each.carrySequences(sequenceMargin)));
  const sequencesMs = performance.now() - startMs;
  const largeObjectsMs = await carryLargeObjects(switches, { maxPauseMs, context });
  // until now, the streams have written all of that on the other side
  await skipInAll(switches);
  const { turnings, isDelayed } = await measureTurnings(switches, { ...settings, ...context });
  // an opening is held up by changes that are being applied, among others
  const drainMs = isDelayed ? await awaitShortDrain(switches, maxPauseMs) : longest;
  const carried = { drainMs: [drainMs], sequencesMs, largeObjectsMs };
  const predictedMs = Math.max(
    0,
    ...turnings.map((each) => predictPauseMs({ ...carried, ...each })),
  );
  if (predictedMs > maxPauseMs) throw predictedTooLong(predictedMs, maxPauseMs);
  return drainMs;
}

/** Waits until a token arrives fast enough; returns how long it takes, in milliseconds. */
async function awaitShortDrain(
  switches: readonly DatabaseSwitch[],
  maxPauseMs: number,
): Promise<number> {
  const deadline = performance.now() + Math.max(warmUpMs, maxPauseMs);
  for (;;) {
    const seen = await joinAll(switches.map((each) => each.measureDrain(deadline))).catch(
      (error) => {
        throw error instanceof TokensLateError ? notArriving(error) : error;
      },
    );
    const longest = Math.max(0, ...seen.flat().map(({ ms }) => ms));
    if (longest * 2 < maxPauseMs) return longest;
    if (performance.now() > deadline) throw tooSlow(longest, maxPauseMs);
  }
}

/** How long reversing replication and opening take, and whether an opening was held up. */
async function measureTurnings(
  switches: readonly DatabaseSwitch[],
  options: TryOpeningOptions,
): Promise<{ readonly turnings: readonly Turning[]; readonly isDelayed: boolean }> {
  const measured = await joinAll(
    switches.map(async (each) => {
      const { openMs, isDelayed } = await tryOpening(each, options);
      const turning = await measureTurning(each, { openMs, ...options }).catch((error) => {
        // another session holds a lock at the moment: the switch itself may not meet it
        if (isHeldByOthers(error)) return { reverseMs: 0, restoreMs: 0, openMs };
        throw error;
      });
      return { turning, isDelayed };
    }),
  );
  // the slots of the way back read what has been written since
  const skipMs = await skipInAll(switches);
  return {
    turnings: measured.map(({ turning }) => ({
      ...turning,
      reverseMs: turning.reverseMs + skipMs,
    })),
    isDelayed: measured.some(({ isDelayed }) => isDelayed),
  };
}

type Turning = Pick<Rehearsal, "reverseMs" | "restoreMs" | "openMs">;

/** Returns how long it takes, in milliseconds. */
async function skipInAll(switches: readonly DatabaseSwitch[]): Promise<number> {
  const startMs = performance.now();
  await joinAll(switches.map((each) => each.skipReplicated()));
  return performance.now() - startMs;
}

/** Copies what has changed until it is known how long comparing alone takes, in milliseconds. */
async function carryLargeObjects(
  switches: readonly DatabaseSwitch[],
  { maxPauseMs, context: { events } }: {
    readonly maxPauseMs: number;
    readonly context: SwitchContext;
  },
): Promise<number> {
  const first = await joinAll(switches.map(({ largeObjects }) => largeObjects.carry()));
  if (first.every(({ compared }) => compared === 0)) return 0;
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

/** Saves time in the pause; a long transaction may hold it up, which is not worth waiting for. */
async function logRunningTransactionsInTime(session: Session): Promise<void> {
  await session.execute(`SET statement_timeout = ${loggingMs}`);
  await logRunningTransactions(session);
  await session.execute("SET statement_timeout = 0");
}

const loggingMs = 1_000;
