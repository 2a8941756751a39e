/**
 * The phases between which a switch moves a database.
 *
 * @module
 */
import type { CutoverPhase } from "../../cutover/internal.ts";
import type { CutoverDatabase } from "./read_cutover.ts";
import type { SwitchDirection } from "./report.ts";

/** The phase in which a direction begins, and the one in which it ends. */
export const switchPhases: Readonly<
  Record<SwitchDirection, { from: CutoverPhase; to: CutoverPhase }>
> = {
  run: { from: "prepared", to: "switched" },
  rollback: { from: "switched", to: "prepared" },
};

/** Both sides refuse writes. */
export const closedPhases: readonly CutoverPhase[] = ["closing", "returning"];

/** Whether an attempt in this direction has opened the database and died before the end. */
export function isUnsettled(
  { phase, records }: CutoverDatabase,
  direction: SwitchDirection,
): boolean {
  const record = direction === "run" ? records.target : records.source;
  return phase === switchPhases[direction].to && record?.details.isSettled === false;
}

/** Whether writes are refused on both sides, or what follows an opening is still to be done. */
export function isBeyond(database: CutoverDatabase, direction: SwitchDirection): boolean {
  return closedPhases.includes(database.phase) || isUnsettled(database, direction);
}

/** Whether the switch of a database in this direction is complete. */
export function isDone(database: CutoverDatabase, direction: SwitchDirection): boolean {
  return database.phase === switchPhases[direction].to && !isUnsettled(database, direction);
}

/** Whether nothing is left to do. */
export function areDone(
  databases: readonly CutoverDatabase[],
  direction: SwitchDirection,
): boolean {
  return databases.length > 0 && databases.every((each) => isDone(each, direction));
}

/** Names, on the source, of databases that are closed on both sides. */
export function closedNames(databases: readonly CutoverDatabase[]): readonly string[] {
  return databases.filter(({ phase }) => closedPhases.includes(phase))
    .map(({ source }) => source.database);
}
