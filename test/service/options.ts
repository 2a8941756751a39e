import { parseArgs } from "node:util";

/** What `deno task test:service` is run with. */
export interface LoadOptions {
  /** Total number of jobs; one percent belong to a key that submits late. */
  readonly jobs: number;
  readonly keys: number;
  readonly workers: number;
  readonly instances: number;
  /** Jobs at once of each worker. */
  readonly concurrency: number;
  /** Connections to the first instance that never end their request. */
  readonly slow: number;
  /** Seconds between two kills; 0: nothing is broken. */
  readonly killEvery: number;
  /** Between two pieces the workers are drained, and nothing is broken. */
  readonly pieces: number;
  /** What is to be waited for before a piece, see `turn.ts`. */
  readonly turn: string | undefined;
  /** Of all pieces together, without waiting for turns. */
  readonly maxSeconds: number;
  readonly seed: number;
}

/**
 * Every so many-th job is an `init`, which leaves a database of its own; the others are `validate`.
 */
export const initEvery = 8;

/** Of the table that an `init` copies. */
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
      "most-seconds": { type: "string", default: "1800" },
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
    maxSeconds: Number(values["most-seconds"]),
    seed: Number(values.seed),
  };
}
