/**
 * Recognizing, when a switch is continued, that another command has moved its databases since it
 * began: to continue would then be to switch once more, which nobody has asked for.
 *
 * @module
 */
import { nextGeneration, OtherCommandError } from "../../cutover/internal.ts";
import { type CutoverDatabase, routeOf } from "./read_cutover.ts";
import type { SwitchDirection } from "./report.ts";
import { switchPhases } from "./switch_phases.ts";

/** What a switch found when it began. Plain data, so that a job can store it. */
export interface SwitchBeginning {
  readonly databases: readonly DatabaseBeginning[];
}

/** One database of a {@linkcode SwitchBeginning}. */
interface DatabaseBeginning {
  /** Its name on the source. */
  readonly database: string;
  /** Of the cutover. */
  readonly id: string;
  /** Generation of the side to be closed, once the switch has closed it. */
  readonly closed: number;
  /** Generation of the other side. */
  readonly other: number;
}

/** What is compared with it. */
export interface CurrentSwitch {
  readonly databases: readonly CutoverDatabase[];
  readonly direction: SwitchDirection;
  /** Whether this is a later attempt of a job. */
  readonly isContinued: boolean;
}

/** Notes what a switch finds. Pure. */
export function beginningOf(
  databases: readonly CutoverDatabase[],
  direction: SwitchDirection,
): SwitchBeginning {
  return {
    databases: databases.map((database) => {
      const { fromRecord, toRecord } = routeOf(database, direction);
      return {
        database: database.source.database,
        id: fromRecord.id,
        closed: database.phase === switchPhases[direction].from
          ? nextGeneration({ fromRecord, toRecord })
          : fromRecord.generation,
        other: toRecord.generation,
      };
    }),
  };
}

/** @throws OtherCommandError if {@linkcode findMoved} returns one */
export function refuseMoved(
  beginning: SwitchBeginning,
  current: CurrentSwitch,
): void {
  const moved = findMoved(beginning, current);
  if (moved !== undefined) throw moved;
}

/**
 * The refusal to continue, if another command has closed a database since, or opened the side that
 * the switch had closed. Pure.
 */
export function findMoved(
  beginning: SwitchBeginning,
  { databases, direction, isContinued }: CurrentSwitch,
): OtherCommandError | undefined {
  for (const began of beginning.databases) {
    const database = databases.find(({ source }) => source.database === began.database);
    if (database !== undefined && !isMoved(database, { began, direction })) continue;
    return new OtherCommandError(
      `another command has changed the state of the cutover since this ${direction} began, which is therefore not continued`,
      { side: "source", database: began.database },
      {
        remedy: `run cutover status to see the current state${
          isContinued ? ", and submit a new job to switch" : ""
        }`,
      },
    );
  }
  return undefined;
}

function isMoved(
  database: CutoverDatabase,
  { began, direction }: {
    readonly began: DatabaseBeginning;
    readonly direction: SwitchDirection;
  },
): boolean {
  const { source, target } = database.records;
  if (source === undefined || target === undefined) return true;
  const { fromRecord, toRecord } = routeOf(database, direction);
  if (fromRecord.id !== began.id || toRecord.generation !== began.other) return true;
  return fromRecord.isOpen
    ? fromRecord.generation >= began.closed
    : fromRecord.generation > began.closed;
}
