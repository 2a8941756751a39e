import { ruleSources } from "../../rules/internal.ts";
import { repairModes } from "../../config/internal.ts";
import { z } from "zod";

import { cutoverActions } from "../../config/internal.ts";
import { jobFields } from "./job_fields.ts";
import {
  jobCommands,
  type JobSpec,
  type JobSpecInput,
  maxTimeoutSeconds,
  specVersion,
} from "./job.ts";

const text = (maxLength = 1024) => z.string().min(1).max(maxLength);
const names = z.array(text(256)).max(200).default([]);
const url = z.string().min(1);

const filters = z.strictObject({
  include_databases: names,
  exclude_databases: names,
  /** Source name → target name. */
  map: z.record(text(63), text(63)).default({}),
});

/** Where a rule comes from: flags take precedence over files. */
const origin = z.enum(ruleSources).default("flag");

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
  now: z.iso.datetime({ offset: true }).optional(),
});

const common = {
  schema_version: z.literal(specVersion, {
    error: (issue) =>
      issue.input === undefined
        ? `is missing; this service supports "${specVersion}"`
        : `is not supported; this service supports "${specVersion}"`,
  }),
  source_url: url,
  target_url: url,
  source_from_target_url: url.optional(),
  target_from_source_url: url.optional(),
  filters: filters.default({ include_databases: [], exclude_databases: [], map: {} }),
  rules: rules.default({
    include_tables: [],
    exclude_tables: [],
    schema_only: [],
    table_filters: [],
    time_filters: [],
  }),
  timeout_seconds: z.int().min(1).max(maxTimeoutSeconds).optional(),
  estimated_bytes: z.int().min(0).optional(),
};

const initOptions = z.strictObject(jobFields("init"));

const validateOptions = z.strictObject(jobFields("validate"));

const verifyOptions = z.strictObject({
  ...jobFields("verify"),
  repair: z.enum(repairModes).optional(),
});

const syncOptions = z.strictObject({
  ...jobFields("sync"),
  action: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("follow") }),
    z.strictObject({ kind: z.literal("retry") }),
    z.strictObject({
      kind: z.literal("skip"),
      lsn: text(32).regex(
        /^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/,
        "is not a valid LSN such as 0/16B3748",
      ),
    }),
    z.strictObject({
      kind: z.literal("copy"),
      tables: z.array(text()).min(1).max(500),
      are_new: z.boolean(),
    }),
  ]).optional(),
});

const cutoverJobOptions = z.strictObject({
  ...jobFields("cutover"),
  action: z.enum(cutoverActions).optional(),
});

const noOptions = z.strictObject({});

/**
 * The body of `POST /v1/jobs`. Unknown properties are rejected.
 *
 * The URLs and the conditions in `rules` are stored encrypted and never returned. The properties
 * are documented in {@linkcode JobSpecInput}.
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
  z.strictObject({
    ...common,
    command: z.literal("cutover"),
    options: cutoverJobOptions.default({}),
  }),
], {
  error: (issue) =>
    issue.code === "invalid_union" ? `must be one of ${jobCommands.join(", ")}` : undefined,
});

type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;
type Same<A, B> = [A, B] extends [B, A] ? true : false;
type Both<A extends true, B extends true> = [A, B];

/** Fails to compile if the schema and the documented types differ. */
export type SchemaAgreesWithTypes = Both<
  Same<Frozen<z.input<typeof jobSpecSchema>>, JobSpecInput>,
  Same<Frozen<z.output<typeof jobSpecSchema>>, JobSpec>
>;
