/**
 * Compares one chunk of a table and narrows differences down to rows.
 *
 * @module
 */
import { isTransient, type Lsn } from "../core/internal.ts";
import { isUnconvertible, ServerError } from "../postgres/internal.ts";
import { describeRows } from "./narrow/describe_rows.ts";
import { type Follower, readInsertPosition } from "./live/follower.ts";
import { findDifferences, type Suspect } from "./narrow/find_differences.ts";
import { NotRepairedError } from "./repair/repair_transaction.ts";
import type { Repairer } from "./repair/repairer.ts";
import type { DigestMethod, RowDifference } from "./report/report.ts";
import { type Chunk, differingCells, scan, total } from "./scan/scan.ts";
import { both, type SessionPair } from "./scan/session_pair.ts";
import type { ChunkOutcome, TableResult } from "./table_result.ts";

/** A chunk to compare. */
export interface ChunkWork {
  readonly chunk: Chunk;
  readonly result: TableResult;
  readonly method: DigestMethod;
  readonly showValues: boolean;
  readonly follower: Follower | undefined;
  readonly repairer: Repairer | undefined;
}

/** Errors raised when the text of a row exceeds the limit of 1 GB. */
const valueTooLong: ReadonlySet<string> = new Set(["54000", "53200", "XX000"]);

/**
 * Compares a chunk and adds the outcome to the table's result. If a server refuses to read the
 * table, the result is marked as failed.
 */
export async function compareChunk(
  pair: SessionPair,
  work: ChunkWork,
): Promise<ChunkOutcome | undefined> {
  const { result, method } = work;
  try {
    const outcome = await outcomeOf(pair, work);
    result.add(outcome);
    return outcome;
  } catch (error) {
    if (!(error instanceof ServerError) || isTransient(error)) throw error;
    if (valueTooLong.has(error.sqlState) && method !== "columns") {
      return await compareChunk(pair, { ...work, method: "columns" });
    }
    const { comparison } = work.chunk;
    if (isUnconvertible(error) && comparison.sameEncoding && !comparison.asBytes) {
      const chunk = { ...work.chunk, comparison: { ...comparison, asBytes: true } };
      return await compareChunk(pair, { ...work, chunk });
    }
    result.fail(error);
    return undefined;
  }
}

/**
 * Attempts for a chunk whose totals differ although none of its rows do, because rows were inserted
 * and deleted in between.
 */
const maxReadings = 5;

async function outcomeOf(pair: SessionPair, work: ChunkWork, reading = 1): Promise<ChunkOutcome> {
  const { chunk, method, result } = work;
  const follower = work.follower?.follows(chunk.comparison) === true ? work.follower : undefined;
  const asOf: Lsn | undefined = follower === undefined
    ? undefined
    : await readInsertPosition(pair.source);
  const [source, target] = await both((side) => scan(pair[side], { chunk, side, method }));
  const found = new Found(result.room);
  if (differingCells(source, target).length > 0) {
    const suspects = findDifferences(pair, {
      chunk,
      method,
      source,
      target,
      follower,
      count: ({ settled, unsettled }) => {
        found.settled += settled;
        found.unsettled += unsettled;
      },
    });
    for await (const some of suspects) {
      await takeDifferences(pair, some, { work, found });
      // enough differences are known, unless all are to be repaired
      if (found.more && work.repairer === undefined) break;
    }
    if (found.isNothing) {
      if (reading < maxReadings) return await outcomeOf(pair, work, reading + 1);
      found.unsettled++;
    }
  }
  return {
    method,
    source: total(source),
    target: total(target),
    asOf,
    ...found.outcome,
  };
}

/** Differences found in part of a table so far. */
export class Found {
  readonly differences: RowDifference[] = [];
  readonly listed: Set<string> = new Set();
  readonly room: number;
  more = false;
  settled = 0;
  unsettled = 0;
  repaired = 0;
  repairFailure: string | undefined;

  constructor(room: number) {
    this.room = room;
  }

  get outcome(): Omit<ChunkOutcome, "method" | "source" | "target" | "asOf"> {
    return {
      differences: this.differences,
      listed: [...this.listed],
      more: this.more,
      settled: this.settled,
      unsettled: this.unsettled,
      repaired: this.repaired,
      repairFailure: this.repairFailure,
    };
  }

  /** Whether no row differed, not even transiently. */
  get isNothing(): boolean {
    return this.differences.length + this.settled + this.unsettled + this.repaired === 0 &&
      !this.more;
  }
}

/** Repairs or lists differing rows, skipping those already listed. */
export async function takeDifferences(
  pair: SessionPair,
  suspects: readonly Suspect[],
  { work, found }: { readonly work: ChunkWork; readonly found: Found },
): Promise<void> {
  const already = work.result.listed;
  const left = await repair(
    suspects.filter(({ id }) => !already.has(id) && !found.listed.has(id)),
    work,
    found,
  );
  if (left.length > 0) await list(pair, left, { work, found });
}

/** Repairs rows if requested; returns those that still differ. */
async function repair(
  suspects: readonly Suspect[],
  { repairer, chunk: { comparison }, method }: ChunkWork,
  found: Found,
): Promise<readonly Suspect[]> {
  if (repairer === undefined || found.repairFailure !== undefined) return suspects;
  // only REFRESH changes its rows
  if (comparison.kind === "materialized view") return suspects;
  try {
    const { left, repaired } = await repairer.repair({ comparison, method, suspects });
    if (!repairer.writes) return suspects;
    found.repaired += repaired;
    return suspects.filter(({ id }) => left.has(id));
  } catch (error) {
    const isPlain = error instanceof NotRepairedError ||
      error instanceof ServerError && !isTransient(error);
    if (!isPlain) throw error;
    found.repairFailure = `repair: ${error.message}`;
    return suspects;
  }
}

async function list(
  pair: SessionPair,
  suspects: readonly Suspect[],
  { work, found }: { readonly work: ChunkWork; readonly found: Found },
): Promise<void> {
  const { chunk: { comparison }, method, showValues } = work;
  const room = found.room - found.differences.length;
  const listed = suspects.slice(0, room);
  const described = await describeRows(pair, { comparison, method, suspects: listed, showValues });
  found.differences.push(...described);
  for (const { id } of listed) found.listed.add(id);
  found.settled += listed.length - described.length;
  if (suspects.length > room) found.more = true;
}
