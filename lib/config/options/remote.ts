import { jobStates } from "./choices.ts";
import type { Options } from "./option.ts";

/** Where a command runs: here, or as a job of a service. */
export const remoteOptions = {
  remote: {
    kind: "url",
    placeholder: "URL",
    help: "run as a job of this service",
    helpFor: { jobs: "the service" },
    variable: "SEREN_REMOTE_API",
    commands: ["validate", "init", "sync", "status", "verify", "cutover", "jobs"],
  },
  local: {
    kind: "flag",
    help: "run here even if SEREN_REMOTE_API is set",
    commands: ["validate", "init", "sync", "status", "verify", "cutover"],
  },
  workers: {
    kind: "integer",
    placeholder: "N",
    min: 1,
    max: 64,
    default: "1",
    help: "with --remote: workers that share the copy",
    commands: ["init"],
    job: { name: "workers", commands: ["init"] },
  },
  state: {
    kind: "choice",
    placeholder: "STATE",
    values: jobStates,
    help: "list: only jobs in this state",
    commands: ["jobs"],
  },
  follow: {
    kind: "flag",
    short: "-f",
    help: "logs: keep printing until the job has finished",
    commands: ["jobs"],
  },
} as const satisfies Options;
