import { blockerPolicies, fenceKinds, finalChecks, wayBacks } from "./choices.ts";
import type { Options } from "./option.ts";

const commands = ["cutover"] as const;

/**
 * How databases are switched over. None of these can be set in a file: a forgotten line must not
 * decide how long users wait, or which command is run.
 */
export const cutoverOptions = {
  forCutover: {
    kind: "flag",
    help: "check what the next step of a cutover needs, in place of what a copy needs",
    commands: ["validate"],
    job: { name: "for_cutover", commands: ["validate"] },
  },
  maxPause: {
    kind: "duration",
    placeholder: "TIME",
    default: "30s",
    help: "how long writers may wait; when it is exceeded they continue, and nothing has changed",
    commands,
    job: { name: "max_pause_ms", commands },
  },
  onBlocker: {
    kind: "choice",
    placeholder: "WHAT",
    values: blockerPolicies,
    default: "wait",
    help: "what to do with sessions that hold locks on the tables",
    commands,
    job: { name: "on_blocker", commands },
  },
  barrierAttempts: {
    kind: "integer",
    placeholder: "N",
    min: 1,
    max: 1000,
    default: "20",
    help: "how often to try to hold all writers at once",
    commands,
    job: { name: "barrier_attempts", commands },
  },
  sequenceMargin: {
    kind: "integer",
    placeholder: "N",
    min: 0,
    max: 1_000_000_000,
    default: "1000",
    help: "values that each sequence skips on the side that is opened",
    commands,
    job: { name: "sequence_margin", commands },
  },
  finalCheck: {
    kind: "choice",
    placeholder: "WHAT",
    values: finalChecks,
    default: "structure",
    help: "what is compared while writers wait: columns, or also the number of rows",
    commands,
    job: { name: "final_check", commands },
  },
  keepSessions: {
    kind: "flag",
    help: "do not terminate client sessions of the closed side",
    commands,
    job: { name: "keep_sessions", commands },
  },
  brownout: {
    kind: "duration",
    placeholder: "TIME",
    help: "rehearse: make writers wait, for at most this long and no longer than --max-pause",
    commands,
    job: { name: "brownout_ms", commands },
  },
  rehearseTokens: {
    kind: "integer",
    placeholder: "N",
    min: 1,
    max: 1000,
    default: "20",
    help: "rehearse: how often to measure the time that changes take to arrive",
    commands,
    job: { name: "rehearse_tokens", commands },
  },
  wayBack: {
    kind: "choice",
    placeholder: "WHAT",
    values: wayBacks,
    default: "replicate",
    help: "prepare: whether the source follows the target after the cutover, for rollback",
    commands,
    job: { name: "way_back", commands },
  },
  fence: {
    kind: "choice",
    placeholder: "WHAT",
    values: fenceKinds,
    default: "triggers",
    help:
      "prepare: how the source is closed; sessions is weaker, for tables that the role does not own",
    commands,
    job: { name: "fence", commands },
  },
  targetFromSource: {
    kind: "url",
    placeholder: "URL",
    defaultText: "same as --target",
    help: "prepare: the target's URL as seen from the source's server",
    commands,
  },
  wayBackPassfile: {
    kind: "text",
    placeholder: "FILE",
    isAbsolutePath: true,
    help:
      "prepare: password file on the source's server, which keeps the password out of its catalog",
    commands,
    job: { name: "way_back_passfile", commands },
  },
  openOldSide: {
    kind: "flag",
    help: "finish: let the source accept writes again",
    commands,
    job: { name: "open_old_side", commands },
  },
  hookBefore: {
    kind: "text",
    placeholder: "COMMAND",
    help: "run before writers are held, e.g. to pause a pooler; a failure refuses the switch",
    commands,
  },
  hookSwitch: {
    kind: "text",
    placeholder: "COMMAND",
    help: "run as soon as the other side is open, e.g. to point clients to it",
    commands,
  },
  hookAbort: {
    kind: "text",
    placeholder: "COMMAND",
    help: "run if the switch was abandoned and writers continue, to undo --hook-before",
    commands,
  },
  hookAfter: {
    kind: "text",
    placeholder: "COMMAND",
    help: "run at the end of a switch",
    commands,
  },
  hookTimeout: {
    kind: "duration",
    placeholder: "TIME",
    default: "30s",
    help: "how long each hook may run",
    commands,
  },
} as const satisfies Options;

/** The options of the group. */
export type CutoverOptionName = keyof typeof cutoverOptions;
