/**
 * What cancelling a job does, for those who are asked whether they want it. Without dependencies:
 * the page includes it too.
 *
 * @module
 */

/** The part of a job that decides it. */
export interface CancellableJob {
  readonly command: string;
  readonly state: string;
  readonly attempt: number;
  readonly spec: { readonly options?: unknown };
}

/** What cancelling a job does, in one or more sentences. Pure. */
export function cancelText({ command, state, attempt, spec }: CancellableJob): string {
  // one that was begun, and lost its worker, is queued again
  if (state === "queued" && attempt === 0) return "The job has not started; nothing was changed.";
  if (command !== "cutover") return texts[command] ?? onlyReads;
  const { action = "status", dry_run } = (spec.options ?? {}) as {
    readonly action?: string;
    readonly dry_run?: boolean;
  };
  return (dry_run === true ? undefined : cutoverTexts[action]) ??
    onlyReads;
}

const onlyReads = "The job stops immediately. It only reads.";

const copyText =
  "The job stops immediately. Copied data stays on the target. A cancelled job cannot be resumed.";

const texts: Readonly<Record<string, string>> = {
  init: copyText,
  sync:
    "The job stops immediately. Copied data stays on the target. If the job applied changes, they are no longer applied, and the source retains WAL until another sync resumes.",
  verify: "The job stops immediately. Rows that it has repaired stay repaired.",
};

const switchText =
  "Before the point of no return, the switch is abandoned: writers continue on the side in use, " +
  "and nothing was changed. After it, the switch is completed first: the other side is opened, and " +
  "the job succeeds. cutover status shows which side is in use.";

const cutoverTexts: Readonly<Record<string, string>> = {
  prepare:
    "The job stops immediately. The source stays in use. What was prepared remains until cleanup removes it; cutover prepare completes it.",
  rehearse:
    "The job stops immediately. If it makes writers wait (a brownout), they continue at once.",
  run: switchText,
  rollback: switchText,
  finish:
    "The target stays in use. What was removed of the way back is not restored; cutover finish completes it.",
};
