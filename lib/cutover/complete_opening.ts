/**
 * What follows a switch: the other side is open, so that a failure is reported and the rest is
 * done.
 *
 * @module
 */
import { errorMessage, type EventSink, plural, retry, type StepName } from "../core/internal.ts";
import { durableSettings, openSession } from "../postgres/internal.ts";
import { advanceSlotIfIdle } from "./back_stream.ts";
import { endClientSessions } from "./client_sessions.ts";
import type { DatabaseRoute } from "./route.ts";
import { readSide, settleStatement } from "./own_schema.ts";
import { closedSideOf, describeLateChanges, readForeignChanges } from "./tripwire.ts";
import { readReadOnlyDefaults } from "./read_only_default.ts";
import type { FenceKind } from "../config/internal.ts";
import { fenceOf } from "./model.ts";
import type { Timeline } from "./timeline.ts";

/** What {@linkcode completeOpening} takes. */
export interface CompleteOpeningOptions {
  /** Whether client sessions of the closed side are terminated. */
  readonly endSessions: boolean;
  /** Backends of the tool's own sessions on the closed side. */
  readonly ownPids: (route: DatabaseRoute) => readonly number[];
  /** Runs a hook as a step, if there is one. */
  readonly hook: (hook: "switch" | "after") => Promise<unknown>;
  readonly timeline: Timeline;
  readonly events: EventSink;
}

/**
 * Runs the hooks, arms the tripwire, ends client sessions, and records that this is done.
 *
 * @returns what failed
 */
export async function completeOpening(
  routes: readonly DatabaseRoute[],
  { endSessions, ownPids, hook, timeline, events }: CompleteOpeningOptions,
): Promise<readonly string[]> {
  const warnings: string[] = [];
  const tolerate = async (step: StepName, work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      const message = `${step}: ${errorMessage(error)}`;
      warnings.push(message);
      events({
        kind: "warning",
        message: `the other side is open, but this step failed: ${message}`,
      });
    }
  };
  const armTripwires = async (closed: readonly DatabaseRoute[]) => {
    for (const route of closed) {
      await tolerate("tripwire", () =>
        timeline.step("tripwire", async () => {
          warnings.push(...await armTripwire(route));
        }));
    }
  };
  await tolerate("hook-switch", () => hook("switch"));
  await armTripwires(routes.filter((route) => closedBy(route) === "triggers"));
  for (const route of endSessions ? routes : []) {
    const { from } = route;
    await tolerate("end-sessions", () =>
      timeline.step("end-sessions", async () => {
        const { ended, refused } = await endClientSessions(from, ownPids(route));
        if (refused > 0) {
          warnings.push(
            `${
              plural(refused, "session")
            } of database ${from.database} on the ${from.side} could not be terminated: that requires pg_signal_backend, and for sessions of superusers a superuser; they can no longer write`,
          );
        }
        return ended;
      }, { summarise: (ended) => `${plural(ended, "session")} of ${from.database} terminated` }));
  }
  // what terminates the sessions must not be outrun
  await armTripwires(routes.filter((route) => closedBy(route) === "sessions"));
  await tolerate("hook-after", () => hook("after"));
  for (const { to } of routes) {
    await tolerate("open", async () => {
      await using session = await retry(() => openSession(to, { settings: durableSettings }));
      await session.execute(settleStatement);
      if ((await readReadOnlyDefaults(session)).server !== true) return;
      warnings.push(
        `new sessions of the ${to.side} are read-only by default, although database ${to.database} is open: ALTER SYSTEM RESET default_transaction_read_only, and reload`,
      );
    });
  }
  return warnings;
}

/** How the side that is now closed is kept closed. */
function closedBy(route: DatabaseRoute): FenceKind {
  return fenceOf(route.fromRecord);
}

/**
 * Lets the slots of the closed side skip what its last close has proven, unless something was
 * written after that: then `cutover status` shows it.
 *
 * @returns what was found, or is not proven
 */
async function armTripwire(route: DatabaseRoute): Promise<readonly string[]> {
  const { from, out } = route;
  const weaker = closedBy(route) === "sessions" ? " (--fence sessions)" : "";
  await using session = await retry(() => openSession(from));
  const record = await readSide(session) ?? route.fromRecord;
  const changes = await readForeignChanges(session, closedSideOf(record), { advances: true });
  if (changes.isKnown && changes.found.length > 0) {
    return [
      `database ${from.database} on the ${from.side} was written to after it was closed${weaker}; these changes did not reach the other side: ${
        describeLateChanges(changes.found)
      }`,
    ];
  }
  if (!changes.isKnown && weaker !== "") {
    return [
      `database ${from.database} on the ${from.side}: it is not proven that nothing was written after it was closed${weaker}: ${changes.reason}`,
    ];
  }
  for (const slot of out) await advanceSlotIfIdle(session, slot);
  return [];
}
