/**
 * What can be done next in a cutover. Every command and report asks this module, so that they
 * agree.
 *
 * @module
 */
import type { CutoverPhase, UnfinishedSwitch } from "../../cutover/internal.ts";

/** What decides it, of one database. */
export interface NextInput {
  readonly phase: CutoverPhase;
  /** A switch before its point of no return that has changed something. */
  readonly unfinished: UnfinishedSwitch | null;
  /** Whether the way back exists. */
  readonly wayBack: boolean;
  /** Whether a cutover is recorded, or a stream connects the database with the target. */
  readonly isKnown: boolean;
}

/** A command to run next, and when it is the one to run. */
export interface NextStep {
  readonly command: string;
  readonly label: string;
  /** Flags of the current command that it is given too. */
  readonly keeps?: readonly string[] | undefined;
}

/**
 * The commands to run next, in their order; empty if neither a cutover nor a stream is known. Pure.
 */
export function cutoverNextSteps(databases: readonly NextInput[]): readonly NextStep[] {
  const has = (phase: CutoverPhase) => databases.some((each) => each.phase === phase);
  if (has("closing")) {
    return [
      { label: "Next, to open the target:", command: "cutover run" },
      { label: "or to return to the source:", command: "cutover rollback" },
    ];
  }
  if (has("returning")) {
    return [
      { label: "Next, to open the source:", command: "cutover rollback" },
      { label: "or to return to the target:", command: "cutover run" },
    ];
  }
  if (has("contradictory")) return [{ label: "Next:", command: "cleanup" }];
  const interrupted = databases.find(({ unfinished }) => unfinished?.isRunning === false);
  if (interrupted?.unfinished != null) {
    const { command } = interrupted.unfinished;
    return [{ label: "Next, as it was interrupted:", command: `cutover ${command}` }];
  }
  if (has("preparing")) return [{ label: "Next:", command: "cutover prepare" }];
  if (has("prepared")) {
    return [
      { label: "Next:", command: "cutover rehearse" },
      { label: "then:", command: "cutover run" },
    ];
  }
  if (has("switched")) {
    const isWayBack = databases.every(({ phase, wayBack }) => phase !== "switched" || wayBack);
    return [
      ...(isWayBack ? [{ label: "To return to the source:", command: "cutover rollback" }] : []),
      {
        label: isWayBack ? "To give up the way back:" : "Next:",
        command: "cutover finish",
      },
    ];
  }
  if (databases.some(({ phase, isKnown }) => phase === "none" && isKnown)) {
    return [{ label: "Next:", command: "cutover prepare" }];
  }
  return has("finished")
    ? [{ label: "Once no client uses the source any more:", command: "cleanup" }]
    : [];
}
