import { parseArgs } from "node:util";

/** The options of `deno task test:service`. */
export interface LoadOptions {
  /** Total number of jobs; one percent belong to a key that submits late. */
  readonly jobs: number;
  readonly keys: number;
  readonly workers: number;
  readonly instances: number;
  /** Concurrent jobs per worker. */
  readonly concurrency: number;
  /** Connections to the first instance that never complete their request. */
  readonly slow: number;
  /** Seconds between two kills; 0 causes no faults. */
  readonly killEvery: number;
  /**
   * The number of pieces in which jobs are processed; between them, workers are drained and no
   * faults occur.
   */
  readonly pieces: number;
  /** A command to wait for before each piece; see `turn.ts`. */
  readonly turn: string | undefined;
  /** The time limit for all pieces together, excluding waits for turns. */
  readonly maxSeconds: number;
  readonly seed: number;
}

/**
 * Every nth job is an `init`, which creates a separate database; the others are `validate`.
 */
export const initEvery = 8;

/** The number of rows in the table that an `init` copies. */
export const rows = 100;

export function readOptions(args: readonly string[]): LoadOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      jobs: { type: "string", default: "100" },
      keys: { type: "string", default: "20" },
      workers: { type: "string", default: "4" },
      instances: { type: "string", default: "2" },
      concurrency: { type: "string", default: "2" },
      slow: { type: "string", default: "200" },
      "kill-every": { type: "string", default: "5" },
      pieces: { type: "string", default: "1" },
      turn: { type: "string" },
      "max-seconds": { type: "string", default: "1800" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
    },
  });
  return {
    jobs: Number(values.jobs),
    keys: Number(values.keys),
    workers: Number(values.workers),
    instances: Number(values.instances),
    concurrency: Number(values.concurrency),
    slow: Number(values.slow),
    killEvery: Number(values["kill-every"]),
    pieces: Number(values.pieces),
    turn: values.turn,
    maxSeconds: Number(values["max-seconds"]),
    seed: Number(values.seed),
  };
}
