import type { CutoverOptionName } from "./cutover.ts";

/** What `cutover` does; without a word it shows the status. */
export const cutoverActions = [
  "prepare",
  "rehearse",
  "run",
  "rollback",
  "finish",
  "status",
] as const;
/** One of {@linkcode cutoverActions}. */
export type CutoverAction = typeof cutoverActions[number];

/** The actions that change which side is in use, or remove the way back. */
export const switchingActions: readonly CutoverAction[] = ["run", "rollback", "finish"];

/**
 * Why a brownout is refused; undefined if it is not. Writers wait as they do during a switch, and
 * no longer.
 */
export function brownoutProblem(
  brownoutMs: number | undefined,
  maxPauseMs: number,
): string | undefined {
  return brownoutMs === undefined || brownoutMs <= maxPauseMs
    ? undefined
    : `must not be longer than the pause that is allowed (${brownoutMs} ms > ${maxPauseMs} ms)`;
}

/** The actions that show a plan and ask. */
export const planningActions: readonly CutoverAction[] = ["prepare", ...switchingActions];

const switches: readonly CutoverAction[] = ["run", "rollback"];
const measuring: readonly CutoverAction[] = ["rehearse", ...switches];

/** The options that only some actions have. */
export const cutoverOptionActions: Readonly<
  Record<
    Exclude<CutoverOptionName, "forCutover"> | "dryRun" | "yes" | "slotTimeout" | "report",
    readonly CutoverAction[]
  >
> = {
  dryRun: planningActions,
  // rehearse asks nothing: it is accepted, as scripts give it to every action
  yes: [...planningActions, "rehearse"],
  maxPause: measuring,
  onBlocker: switches,
  barrierAttempts: switches,
  sequenceMargin: measuring,
  finalCheck: switches,
  keepSessions: switches,
  slotTimeout: switches,
  report: measuring,
  hookBefore: switches,
  hookSwitch: switches,
  hookAbort: switches,
  hookAfter: switches,
  hookTimeout: switches,
  brownout: ["rehearse"],
  rehearseTokens: ["rehearse"],
  wayBack: ["prepare"],
  fence: ["prepare"],
  targetFromSource: ["prepare"],
  wayBackPassfile: ["prepare"],
  openOldSide: ["finish"],
};
