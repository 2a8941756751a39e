/**
 * What is read once every database is open: the pause that writers had, the writes that the fences
 * refused, and what has changed on a closed side. A part that cannot be read is a warning.
 *
 * @module
 */
import { errorMessage, joinAll, plural, retry } from "../core/internal.ts";
import { openSession } from "../postgres/internal.ts";
import type { DatabaseSwitch } from "./database_switch.ts";
import { readDurablePauseMs } from "./durable_pause.ts";
import { readRefusals, resetRefusalsStatement } from "./refusals.ts";
import { type DatabaseRoute, nameOnSource } from "./route.ts";

/** The longest pause of databases that an earlier attempt had closed. */
export async function readEarlierPauses(
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
export async function takeRefusals(
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
export async function readLateObjects(
  switches: readonly DatabaseSwitch[],
): Promise<readonly string[]> {
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
