import { z } from "zod";

import {
  jobCommands,
  type JobSpec,
  type JobSpecInput,
  maxTimeoutSeconds,
  specVersion,
} from "./job.ts";

const text = (most = 1024) => z.string().min(1).max(most);
const names = z.array(text(256)).max(200).default([]);
const parallel = z.int().min(1).max(64);
const url = z.string().min(1);

const filters = z.strictObject({
  include_databases: names,
  exclude_databases: names,
  /** Source name → target name. */
  map: z.record(text(63), text(63)).default({}),
});

/** Where a rule came from: one of a flag counts more than one of a file. */
const origin = z.enum(["flag", "file"]).default("flag");

const tableChoice = z.union([
  text(),
  z.strictObject({ table: text(), database: text(63) }),
]);

const rules = z.strictObject({
  include_tables: z.array(tableChoice).max(500).default([]),
  exclude_tables: z.array(tableChoice).max(500).default([]),
  schema_only: z.array(z.union([text(), z.strictObject({ table: text(), origin })])).max(500)
    .default([]),
  table_filters: z.array(z.strictObject({ table: text(), where: text(4096), origin })).max(200)
    .default([]),
  time_filters: z.array(z.strictObject({ table: text(), column: text(63), last: text(64), origin }))
    .max(200).default([]),
  /** The moment that time windows reach back from; when the job is taken in, unless it is given. */
  now: z.iso.datetime({ offset: true }).optional(),
});

const common = {
  schema_version: z.literal(specVersion, {
    error: (issue) =>
      issue.input === undefined
        ? `is missing; this service reads "${specVersion}"`
        : `this service reads "${specVersion}"`,
  }),
  source_url: url,
  target_url: url,
  /** The source by the address at which the target's server reaches it, for replication. */
  source_from_target_url: url.optional(),
  filters: filters.default({ include_databases: [], exclude_databases: [], map: {} }),
  rules: rules.default({
    include_tables: [],
    exclude_tables: [],
    schema_only: [],
    table_filters: [],
    time_filters: [],
  }),
  /** After this time the job is ended for good, whatever it has done. */
  timeout_seconds: z.int().min(1).max(maxTimeoutSeconds).optional(),
  /**
   * How much there is to copy, to choose the workers by; without it the first worker of `init`
   * measures.
   */
  estimated_bytes: z.int().min(0).optional(),
};

const replicationOptions = {
  replica_identity: z.enum(["fail", "full", "skip"]).optional(),
  slot_timeout_seconds: z.int().min(1).max(86_400).optional(),
  /** A file on the target's server. */
  subscription_passfile: text().regex(/^(\/|[A-Za-z]:[\\/])/, "has to be a full path").optional(),
} as const;

const initOptions = z.strictObject({
  jobs: parallel.optional(),
  index_jobs: parallel.optional(),
  copy_format: z.enum(["auto", "text", "binary"]).optional(),
  restore_search_path: z.enum(["empty", "own"]).optional(),
  /** In bytes; larger tables are copied in parts. */
  split_bytes: z.int().min(1 << 20).optional(),
  drop_existing: z.boolean().optional(),
  dry_run: z.boolean().optional(),
  /** The most that is read from the source, in bytes a second. */
  max_bytes_per_second: z.int().min(1024).optional(),
  /** False drops what an earlier job has left unfinished, and begins anew. */
  resume: z.boolean().optional(),
  /**
   * When a worker was lost and the source has been written to since: go on with the rest as it is
   * now. Without it the copy begins anew, because tables of two moments do not fit together.
   */
  allow_mixed_snapshots: z.boolean().optional(),
  /** Hand over to replication. */
  enable_sync: z.boolean().optional(),
  /** Workers that copy rows: one leads, the others help as they are free. */
  workers: z.int().min(1).max(64).optional(),
  ...replicationOptions,
});

const validateOptions = z.strictObject({
  jobs: parallel.optional(),
  drop_existing: z.boolean().optional(),
  for_sync: z.boolean().optional(),
});

const verifyOptions = z.strictObject({
  jobs: parallel.optional(),
  max_diffs: z.int().min(0).max(100_000).optional(),
  /** Whether values of differing rows may be in the report, which the service keeps. */
  values: z.boolean().optional(),
  repair: z.enum(["no", "print", "follow"]).optional(),
});

const syncOptions = z.strictObject({
  jobs: parallel.optional(),
  split_bytes: z.int().min(1 << 20).optional(),
  ...replicationOptions,
  /** What to do before following: nothing, unless one of these is given. */
  action: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("follow") }),
    z.strictObject({ kind: z.literal("retry") }),
    z.strictObject({
      kind: z.literal("skip"),
      lsn: text(32).regex(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, "is no LSN like 0/16B3748"),
    }),
    z.strictObject({
      kind: z.literal("copy"),
      tables: z.array(text()).min(1).max(500),
      are_new: z.boolean(),
    }),
  ]).optional(),
});

const noOptions = z.strictObject({});

/**
 * What a job is to do: `POST /v1/jobs`. Strict: what is not named here is refused.
 *
 * The URLs and the conditions of `rules` are kept encrypted and are never given back.
 */
export const jobSpecSchema = z.discriminatedUnion("command", [
  z.strictObject({ ...common, command: z.literal("init"), options: initOptions.default({}) }),
  z.strictObject({
    ...common,
    command: z.literal("validate"),
    options: validateOptions.default({}),
  }),
  z.strictObject({ ...common, command: z.literal("sync"), options: syncOptions.default({}) }),
  z.strictObject({ ...common, command: z.literal("status"), options: noOptions.default({}) }),
  z.strictObject({ ...common, command: z.literal("verify"), options: verifyOptions.default({}) }),
], {
  error: (issue) =>
    issue.code === "invalid_union"
      ? `is none of the commands ${jobCommands.join(", ")}`
      : undefined,
});

type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;
type Same<A, B> = [A, B] extends [B, A] ? true : false;
type Both<A extends true, B extends true> = [A, B];

/** Does not compile when the schema and the types that are written for users come apart. */
export type SchemaAgreesWithTypes = Both<
  Same<Frozen<z.input<typeof jobSpecSchema>>, JobSpecInput>,
  Same<Frozen<z.output<typeof jobSpecSchema>>, JobSpec>
>;
