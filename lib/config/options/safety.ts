import { restoreSearchPaths } from "./choices.ts";
import type { Options } from "./option.ts";

/**
 * What may be changed or dropped, and what requires confirmation. None of these can be set in a
 * file.
 */
export const safetyOptions = {
  dryRun: {
    kind: "flag",
    help: "print the plan and exit; nothing is changed",
    helpFor: {
      verify: "with --repair: print the SQL and change nothing",
      cutover: "print the plan and every statement for both sides; change nothing",
      cleanup: "print the list and exit; nothing is removed",
    },
    commands: ["init", "verify", "cutover", "cleanup"],
    job: { name: "dry_run", commands: ["init", "cutover"] },
  },
  yes: {
    kind: "flag",
    short: "-y",
    help: "start without asking; never permits dropping anything",
    helpFor: {
      sync: "empty or create tables without asking",
      verify: "with --repair: do not ask",
      cutover: "do what the plan shows without asking",
      cleanup: "remove what the list shows without asking",
    },
    commands: ["init", "sync", "verify", "cutover", "cleanup"],
  },
  dropExisting: {
    kind: "flag",
    help: "drop non-empty target databases; the plan shows what is lost",
    commands: ["validate", "init"],
    job: { name: "drop_existing", commands: ["validate", "init"] },
  },
  resume: {
    kind: "negation",
    help: "drop the unfinished copies of an interrupted run and start over",
    helpFor: { verify: "compare everything again, including what an interrupted run found equal" },
    commands: ["init", "verify"],
    job: { name: "resume", commands: ["init"] },
  },
  allowMixedSnapshots: {
    kind: "flag",
    help: "continue even if the rest can only be copied from a later snapshot",
    commands: ["init"],
    job: { name: "allow_mixed_snapshots", commands: ["init"] },
  },
  restoreSearchPath: {
    kind: "choice",
    placeholder: "PATH",
    values: restoreSearchPaths,
    default: "empty",
    help:
      "search_path for checks, generated columns, indexes and materialized views: empty, as pg_dump sets it, or the target database's own",
    commands: ["init"],
    config: {
      description:
        "The search_path under which checks, generated columns, index expressions and materialized views are computed on the target: an empty one, as with pg_dump and psql, or the database's own (`--restore-search-path`).",
      example: "own",
    },
    job: { name: "restore_search_path", commands: ["init"] },
  },
  repair: {
    kind: "flag",
    help: "make the target's rows match the source",
    commands: ["verify"],
  },
  keep: {
    kind: "flag",
    help: "leave both servers running until Ctrl-C, to explore them",
    commands: ["demo"],
  },
} as const satisfies Options;
