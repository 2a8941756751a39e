/**
 * One call of `cutover run` or `cutover rollback`.
 *
 * @module
 */
import type { RunContext } from "../shared/run.ts";
import type { CutoverSwitchOptions } from "./options.ts";
import type { SwitchDirection } from "./report.ts";

/** What all steps of a call share. */
export interface SwitchCall {
  readonly direction: SwitchDirection;
  readonly options: CutoverSwitchOptions;
  readonly run: RunContext;
  /** When it began, on the clock of `performance.now()`. */
  readonly startMs: number;
  /** When it began; ISO timestamp. */
  readonly startedAt: string;
}

/** The same context, without the signal that would interrupt it. */
export function unstoppable(run: RunContext): RunContext {
  return { ...run, signal: new AbortController().signal };
}

/** The context in which the state is read: a call that continues has to report the outcome. */
export function readingContext({ options, run }: SwitchCall): RunContext {
  return options.isContinued ? unstoppable(run) : run;
}
