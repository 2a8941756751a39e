import {
  brownoutProblem,
  type CutoverAction,
  cutoverOptionActions,
  optionDefaults,
  type OptionName,
  optionNamed,
  switchingActions,
} from "../../config/internal.ts";
import type { Problem } from "../../core/internal.ts";
import type { JobCommand, JobSpec } from "./job.ts";

type CutoverSpec = Extract<JobSpec, { readonly command: "cutover" }>;

/** What a `cutover` job does. */
export function cutoverActionOf({ options }: Pick<CutoverSpec, "options">): CutoverAction {
  return options.action ?? "status";
}

/**
 * Whether the key of a job must have the scope `cutover`, and its end is audited: it switches, or
 * makes writers wait.
 */
export function needsCutoverScope(
  spec: { readonly command: JobCommand; readonly options: unknown },
): boolean {
  if (isSwitchingJob(spec)) return true;
  if (spec.command !== "cutover") return false;
  const options = spec.options as CutoverSpec["options"];
  return cutoverActionOf({ options }) === "rehearse" && options.brownout_ms !== undefined;
}

/** Whether a job changes which side is in use, or removes the way back. */
export function isSwitchingJob(
  spec: { readonly command: JobCommand; readonly options: unknown },
): boolean {
  if (spec.command !== "cutover") return false;
  const options = spec.options as CutoverSpec["options"];
  return options.dry_run !== true && switchingActions.includes(cutoverActionOf({ options }));
}

/** What no schema says: which options belong to which action, and what a switch has no use for. */
export function cutoverProblems(spec: CutoverSpec): readonly Problem[] {
  const action = cutoverActionOf(spec);
  const problems: Problem[] = [];
  for (const [name, actions] of Object.entries(cutoverOptionActions)) {
    const field = optionNamed(name as OptionName).job?.name;
    const value = field === undefined
      ? undefined
      : (spec.options as Readonly<Record<string, unknown>>)[field];
    if (actions.includes(action) || value === undefined || value === false) continue;
    problems.push({
      path: `options.${field}`,
      message: `belongs to cutover ${actions.join(", ")}; not to cutover ${action}`,
    });
  }
  const brownout = brownoutProblem(
    spec.options.brownout_ms,
    spec.options.max_pause_ms ?? optionDefaults.maxPauseMs,
  );
  if (brownout !== undefined) {
    problems.push({ path: "options.brownout_ms", message: brownout });
  }
  if (spec.target_from_source_url !== undefined && action !== "prepare") {
    problems.push({
      path: "target_from_source_url",
      message: `belongs to cutover prepare; not to cutover ${action}`,
    });
  }
  for (const [kind, rules] of Object.entries(spec.rules)) {
    if (!Array.isArray(rules) || rules.length === 0) continue;
    problems.push({
      path: `rules.${kind}`,
      message: "does not apply to cutover, which switches the tables that are replicated",
    });
  }
  return problems;
}

/** Why a job has no hooks. */
export const noRemoteHooks =
  "is a command, and a service does not run its clients' commands; run the cutover where the hook can run";

/** Names the reason where a job has a hook. */
export function explainHooks(problem: Problem): Problem {
  return /^options\.hook(_|$)/.test(problem.path)
    ? { path: problem.path, message: noRemoteHooks }
    : problem;
}
