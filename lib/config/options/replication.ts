import { identityPolicies } from "./choices.ts";
import type { Options } from "./option.ts";

/** How replication is set up, repaired and watched. */
export const replicationOptions = {
  enableSync: {
    kind: "flag",
    help: "continue with replication, without a gap: the target follows the source",
    commands: ["init"],
    job: { name: "enable_sync", commands: ["init"] },
  },
  forSync: {
    kind: "flag",
    help: "fail if any requirement of init --enable-sync is not met",
    commands: ["validate"],
    job: { name: "for_sync", commands: ["validate"] },
  },
  replicaIdentity: {
    kind: "choice",
    placeholder: "WHAT",
    values: identityPolicies,
    default: "fail",
    help: "what to do with tables that have no usable replica identity",
    commands: ["validate", "init", "sync"],
    job: { name: "replica_identity", commands: ["init", "sync"] },
  },
  slotTimeout: {
    kind: "duration",
    placeholder: "TIME",
    default: "5min",
    help: "how long a new slot may wait for running transactions, e.g. 30s or 10min",
    commands: ["init", "sync", "cutover"],
    job: { name: "slot_timeout_seconds", commands: ["init", "sync", "cutover"] },
  },
  applyFrom: {
    kind: "choice",
    placeholder: "WHERE",
    values: ["auto", "here", "target"],
    default: "auto",
    help:
      "what applies the changes: a subscription of the target, or this tool, which then keeps running",
    commands: ["validate", "init", "sync"],
    job: { name: "apply_from", commands: ["init", "sync"] },
  },
  sourceFromTarget: {
    kind: "url",
    placeholder: "URL",
    defaultText: "same as --source",
    help: "the source's URL as seen from the target's server",
    commands: ["init", "sync"],
  },
  subscriptionPassfile: {
    kind: "text",
    placeholder: "FILE",
    isAbsolutePath: true,
    help: "password file on the target's server, which keeps the password out of its catalog",
    commands: ["init", "sync"],
    job: { name: "subscription_passfile", commands: ["init", "sync"] },
  },
  retry: {
    kind: "flag",
    help: "resume streams that an error stopped, once its cause is removed",
    commands: ["sync"],
  },
  skipLsn: {
    kind: "text",
    placeholder: "LSN",
    help: "skip the transaction that ends at this LSN and continue",
    commands: ["sync"],
  },
  watch: {
    kind: "flag",
    help: "refresh continuously, with charts; q or Ctrl-C quits",
    commands: ["status"],
  },
  interval: {
    kind: "integer",
    placeholder: "SECONDS",
    min: 1,
    max: 3600,
    default: "2",
    help: "seconds between refreshes of --watch",
    commands: ["status"],
  },
  check: {
    kind: "flag",
    help: "exit with 7 if replication is unhealthy or a limit is exceeded",
    commands: ["status"],
  },
  maxLagBytes: {
    kind: "exactSize",
    placeholder: "SIZE",
    help: "limit for --check, e.g. 64MB",
    commands: ["status"],
  },
  maxLagSeconds: {
    kind: "integer",
    placeholder: "N",
    min: 0,
    max: 31_536_000,
    help: "limit for --check",
    commands: ["status"],
  },
} as const satisfies Options;
