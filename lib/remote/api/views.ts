import { z } from "zod";
import { keyLimits } from "../../config/internal.ts";
import { keyScopes } from "../keys/mod.ts";
import { jobCommands, jobLogLevels, jobStates } from "../spec/mod.ts";
import { type ApiKeyRow, attemptNumber, type AuditRow, type JobRow } from "../store/mod.ts";

const time = z.iso.datetime();

/** A job, as shown to its owner. */
export const jobSchema = z.object({
  id: z.uuid(),
  owner: z.string(),
  command: z.enum(jobCommands),
  state: z.enum(jobStates),
  queue: z.string().meta({ description: "By size: small, medium, large, huge" }),
  spec: z.object({
    schema_version: z.string(),
    command: z.enum(jobCommands),
    source: z.string().meta({ description: "Without password and parameters" }),
    target: z.string().meta({ description: "Without password and parameters" }),
    filters: z.unknown(),
    options: z.unknown(),
    rules: z.record(z.string(), z.int()).meta({ description: "Number of rules of each kind" }),
  }),
  timeout_seconds: z.int().nullable().meta({ description: "Null for no limit" }),
  trace_id: z.string(),
  created_at: time,
  started_at: time.nullable(),
  finished_at: time.nullable(),
  attempt: z.int(),
  worker: z.string().nullable(),
  cancel_requested_at: time.nullable(),
  progress: z.object({
    step: z.string().nullable(),
    tables: z.int(),
    tables_finished: z.int(),
    rows: z.number(),
    bytes: z.number(),
    planned_bytes: z.number(),
  }).nullable(),
  exit_code: z.int().nullable().meta({ description: "As returned by the command line" }),
  error: z.object({
    message: z.string(),
    side: z.string().nullable(),
    object: z.string().nullable(),
    remedy: z.string().nullable(),
    details: z.array(z.string()),
  }).nullable(),
});

/** A job as returned by the API. */
export type JobView = z.infer<typeof jobSchema>;

/** Converts a stored job to {@linkcode jobSchema}. */
export function jobView(row: JobRow): JobView {
  return {
    id: row.id,
    owner: row.owner,
    command: row.command,
    state: row.state,
    queue: row.queue,
    spec: { ...row.spec, rules: { ...row.spec.rules } },
    timeout_seconds: row.timeoutSeconds,
    trace_id: row.traceId,
    created_at: row.createdAt.toISOString(),
    started_at: row.startedAt?.toISOString() ?? null,
    finished_at: row.finishedAt?.toISOString() ?? null,
    attempt: attemptNumber(row),
    worker: row.worker,
    cancel_requested_at: row.cancelRequestedAt?.toISOString() ?? null,
    progress: row.progress,
    exit_code: row.exitCode,
    error: row.error === null ? null : { ...row.error, details: [...row.error.details] },
  };
}

function within<Schema extends z.ZodNumber>(
  schema: Schema,
  { min, max }: { readonly min: number; readonly max: number },
): Schema {
  return schema.min(min).max(max);
}

/** The limits of a key. */
export const limitsSchema = z.strictObject({
  requests_per_second: within(z.number(), keyLimits.requestsPerSecond),
  request_burst: within(z.int(), keyLimits.requestBurst),
  most_running: within(z.int(), keyLimits.maxRunning),
  most_queued: within(z.int(), keyLimits.maxQueued),
  jobs_per_day: within(z.int(), keyLimits.jobsPerDay),
});

/** A key, as shown to an admin; the key itself is not stored. */
export const keySchema = z.object({
  id: z.uuid(),
  owner: z.string(),
  name: z.string(),
  prefix: z.string(),
  scopes: z.array(z.enum(keyScopes)),
  limits: limitsSchema,
  created_at: time,
  created_by: z.string(),
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
  last_used_at: time.nullable().meta({ description: "Accurate to the minute" }),
  replaced_by: z.uuid().nullable(),
});

/** A key as returned by the API. */
export type KeyView = z.infer<typeof keySchema>;

/** Converts a stored key to {@linkcode keySchema}. */
export function keyView(row: ApiKeyRow): KeyView {
  return {
    id: row.id,
    owner: row.owner,
    name: row.name,
    prefix: row.prefix,
    scopes: [...row.scopes],
    limits: {
      requests_per_second: row.requestsPerSecond,
      request_burst: row.requestBurst,
      most_running: row.maxRunning,
      most_queued: row.maxQueued,
      jobs_per_day: row.jobsPerDay,
    },
    created_at: row.createdAt.toISOString(),
    created_by: row.createdBy,
    expires_at: row.expiresAt?.toISOString() ?? null,
    revoked_at: row.revokedAt?.toISOString() ?? null,
    last_used_at: row.lastUsedAt?.toISOString() ?? null,
    replaced_by: row.replacedBy,
  };
}

/** An entry of the audit trail. */
export const auditSchema = z.object({
  id: z.int(),
  at: time,
  actor: z.string(),
  api_key_prefix: z.string().nullable(),
  action: z.string(),
  object: z.string().nullable(),
  outcome: z.string(),
  trace_id: z.string().nullable(),
  address: z.string().nullable(),
  details: z.unknown(),
});

/** Converts a stored entry to {@linkcode auditSchema}. */
export function auditView(row: AuditRow): z.infer<typeof auditSchema> {
  return {
    id: row.id,
    at: row.at.toISOString(),
    actor: row.actor,
    api_key_prefix: row.apiKeyPrefix,
    action: row.action,
    object: row.object,
    outcome: row.outcome,
    trace_id: row.traceId,
    address: row.address,
    details: row.details,
  };
}

/** A line of a job's log. */
export const logSchema = z.object({
  number: z.int(),
  at: time,
  level: z.enum(jobLogLevels),
  message: z.string(),
});
