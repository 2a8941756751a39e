import type { Session } from "../../postgres/internal.ts";
import type { SealedSecrets } from "../secrets/mod.ts";
import type { JobCommand, JobState } from "../spec/mod.ts";
import { auditSwitch } from "./audit_switch.ts";
import { endCopies } from "./copies.ts";
import type { JobAttempt, JobOutcome, JobRow, PublicSpec } from "./job.ts";

const columns = `
  id, owner, api_key_id AS "apiKeyId", command, state, queue, message_id AS "messageId", spec,
  timeout_seconds AS "timeoutSeconds", is_lasting AS "isLasting", trace_id AS "traceId", created_at AS "createdAt",
  started_at AS "startedAt", finished_at AS "finishedAt", attempt, moves, worker,
  cancel_requested_at AS "cancelRequestedAt", progress, exit_code AS "exitCode", error,
  parent_id AS "parentId", copy_id AS "copyId"`;

/** A job to store. */
export interface JobToInsert {
  readonly id: string;
  readonly owner: string;
  readonly apiKeyId: string;
  readonly queue: string;
  readonly messageId: string;
  readonly spec: PublicSpec;
  readonly timeoutSeconds: number;
  readonly traceId: string;
  readonly idempotencyKey: string | undefined;
  readonly requestDigest: string | undefined;
  readonly sealed: SealedSecrets;
}

/** Stores a job and its secrets. Returns undefined if the idempotency key already exists. */
export async function insertJob(session: Session, job: JobToInsert): Promise<JobRow | undefined> {
  const [row] = await session.query<JobRow>(
    `INSERT INTO seren_remote.jobs (
       id, owner, api_key_id, command, state, queue, message_id, spec, timeout_seconds, trace_id,
       idempotency_key, request_digest)
     VALUES ($1::pg_catalog.text::pg_catalog.uuid, $2::pg_catalog.text, $3::pg_catalog.text::pg_catalog.uuid, $4::pg_catalog.text, 'queued', $5::pg_catalog.text, $6::pg_catalog.text::pg_catalog.uuid, $7::pg_catalog.jsonb, $8::int,
             $9::pg_catalog.text, $10::pg_catalog.text, $11::pg_catalog.text)
     ON CONFLICT (api_key_id, idempotency_key) DO NOTHING
     RETURNING ${columns}`,
    [
      job.id,
      job.owner,
      job.apiKeyId,
      job.spec.command,
      job.queue,
      job.messageId,
      JSON.stringify(job.spec),
      job.timeoutSeconds,
      job.traceId,
      job.idempotencyKey ?? null,
      job.requestDigest ?? null,
    ],
  );
  if (row === undefined) return undefined;
  await session.query(
    `INSERT INTO seren_remote.job_secrets (job_id, key_id, wrapped_key, ciphertext)
     VALUES ($1::pg_catalog.text::pg_catalog.uuid, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.text)`,
    [job.id, job.sealed.keyId, job.sealed.wrappedKey, job.sealed.ciphertext],
  );
  return row;
}

/** Finds the job submitted with an idempotency key, and the digest of that request. */
export async function findByIdempotencyKey(
  session: Session,
  { apiKeyId, idempotencyKey }: { readonly apiKeyId: string; readonly idempotencyKey: string },
): Promise<(JobRow & { readonly requestDigest: string | null }) | undefined> {
  const [row] = await session.query<JobRow & { readonly requestDigest: string | null }>(
    `SELECT ${columns}, request_digest AS "requestDigest" FROM seren_remote.jobs
      WHERE api_key_id = $1::pg_catalog.text::pg_catalog.uuid AND idempotency_key = $2::pg_catalog.text`,
    [apiKeyId, idempotencyKey],
  );
  return row;
}

/** Finds a job, optionally only if it belongs to `owner`. */
export async function findJob(
  session: Session,
  id: string,
  { owner }: { readonly owner?: string | undefined } = {},
): Promise<JobRow | undefined> {
  const [row] = await session.query<JobRow>(
    `SELECT ${columns} FROM seren_remote.jobs
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND ($2::pg_catalog.text IS NULL OR owner = $2::pg_catalog.text)`,
    [id, owner ?? null],
  );
  return row;
}

/** Reads the result of a finished job. */
export async function readResult(session: Session, id: string): Promise<unknown> {
  const [row] = await session.query<{ readonly result: unknown }>(
    "SELECT result FROM seren_remote.jobs WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
    [id],
  );
  return row?.result ?? null;
}

/** Selects the jobs to list. */
export interface JobListing {
  readonly owner: string | undefined;
  readonly state: JobState | undefined;
  readonly command: JobCommand | undefined;
  readonly limit: number;
  /** Start after this job (keyset pagination). */
  readonly after: string | undefined;
}

/** Lists jobs, newest first, without helpers. */
export async function listJobs(session: Session, listing: JobListing): Promise<readonly JobRow[]> {
  return await session.query<JobRow>(
    `SELECT ${columns} FROM seren_remote.jobs
      WHERE parent_id IS NULL
        AND ($1::pg_catalog.text IS NULL OR owner = $1::pg_catalog.text)
        AND ($2::pg_catalog.text IS NULL OR state = $2::pg_catalog.text)
        AND ($3::pg_catalog.text IS NULL OR command = $3::pg_catalog.text)
        AND ($4::pg_catalog.text IS NULL OR (created_at, id) <
             (SELECT last.created_at, last.id FROM seren_remote.jobs AS last WHERE last.id = $4::pg_catalog.text::pg_catalog.uuid))
      ORDER BY created_at DESC, id DESC
      LIMIT $5::int`,
    [
      listing.owner ?? null,
      listing.state ?? null,
      listing.command ?? null,
      listing.after ?? null,
      listing.limit,
    ],
  );
}

/** Counts a key's open jobs, and those submitted within the last day. */
export async function countJobsOfKey(
  session: Session,
  apiKeyId: string,
): Promise<{ readonly open: number; readonly today: number }> {
  return await session.queryOne<{ readonly open: number; readonly today: number }>(
    `SELECT (pg_catalog.count(*) FILTER (WHERE finished_at IS NULL))::int AS open,
            (pg_catalog.count(*) FILTER (WHERE created_at > pg_catalog.now() - interval '1 day'))::int AS today
       FROM seren_remote.jobs
      WHERE api_key_id = $1::pg_catalog.text::pg_catalog.uuid AND parent_id IS NULL
        AND (finished_at IS NULL OR created_at > pg_catalog.now() - interval '1 day')`,
    [apiKeyId],
  );
}

/**
 * Starts a new attempt, possibly replacing that of a lost worker. Returns undefined if the job has
 * ended or was deleted, or is a helper of an attempt that has ended.
 */
export async function beginAttempt(
  session: Session,
  { id, worker }: { readonly id: string; readonly worker: string },
): Promise<{ readonly job: JobRow; readonly lostWorker?: string } | undefined> {
  const [row] = await session.query<JobRow & { readonly lostWorker: string | null }>(
    `UPDATE seren_remote.jobs
        SET state = 'running', attempt = attempt + 1, worker = $2::pg_catalog.text,
            started_at = coalesce(started_at, pg_catalog.clock_timestamp())
       FROM (SELECT id AS previous_id, CASE state WHEN 'running' THEN worker END AS lost_worker
               FROM seren_remote.jobs WHERE id = $1::pg_catalog.text::pg_catalog.uuid FOR UPDATE) AS previous
      WHERE id = previous_id AND finished_at IS NULL
        AND (parent_id IS NULL OR EXISTS (
              SELECT FROM seren_remote.jobs AS parent
               WHERE parent.id = jobs.parent_id AND parent.attempt = jobs.parent_attempt
                 AND parent.state = 'running'))
      RETURNING ${columns}, lost_worker AS "lostWorker"`,
    [id, worker],
  );
  if (row === undefined) return undefined;
  const { lostWorker, ...job } = row;
  return { job, ...(lostWorker === null ? {} : { lostWorker }) };
}

/**
 * Records that a job's work has no end of its own, and that this attempt has got on with it.
 *
 * @param timeoutSeconds its limit from now on; null for none
 */
export async function markLasting(
  session: Session,
  { jobId, attempt, timeoutSeconds }: JobAttempt & { readonly timeoutSeconds: number | null },
): Promise<boolean> {
  const rows = await session.query(
    `UPDATE seren_remote.jobs SET is_lasting = true, timeout_seconds = $3::int
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND attempt = $2::int AND state = 'running' RETURNING id`,
    [jobId, attempt, timeoutSeconds],
  );
  return rows.length > 0;
}

/** Moves a job that has been measured to the queue for its size, as a new message. */
export async function moveAttempt(
  session: Session,
  { jobId, attempt, messageId, queue }: JobAttempt & {
    readonly messageId: string;
    readonly queue: string;
  },
): Promise<boolean> {
  const rows = await session.query(
    `UPDATE seren_remote.jobs
        SET state = 'queued', worker = NULL, message_id = $3::pg_catalog.text::pg_catalog.uuid, queue = $4::pg_catalog.text, moves = moves + 1
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND attempt = $2::int AND state = 'running' RETURNING id`,
    [jobId, attempt, messageId, queue],
  );
  return rows.length > 0;
}

/** Returns a job to the queue, as a new message. */
export async function requeueAttempt(
  session: Session,
  { jobId, attempt, messageId }: JobAttempt & { readonly messageId: string },
): Promise<boolean> {
  const rows = await session.query(
    `UPDATE seren_remote.jobs SET state = 'queued', worker = NULL, message_id = $3::pg_catalog.text::pg_catalog.uuid
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND attempt = $2::int AND state = 'running' RETURNING id`,
    [jobId, attempt, messageId],
  );
  return rows.length > 0;
}

/**
 * Moves a job to a final state and erases its secrets and checkpoints; the end of a switch is
 * recorded in the audit trail, in the same transaction.
 *
 * @param attempt the attempt that ends it; undefined to end the job whatever its attempt
 * @returns false if the job had already ended, or another attempt has started
 */
export async function finishJob(
  session: Session,
  { jobId, attempt, outcome }: {
    readonly jobId: string;
    readonly attempt?: number | undefined;
    readonly outcome: JobOutcome;
  },
): Promise<boolean> {
  const rows = await session.query<JobRow>(
    `UPDATE seren_remote.jobs
        SET state = $3::pg_catalog.text, exit_code = $4::int, result = $5::pg_catalog.jsonb, error = $6::pg_catalog.jsonb, finished_at = pg_catalog.clock_timestamp()
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND finished_at IS NULL AND ($2::int IS NULL OR attempt = $2::int)
      RETURNING ${columns}`,
    [
      jobId,
      attempt ?? null,
      outcome.state,
      outcome.exitCode,
      outcome.result === undefined ? null : JSON.stringify(outcome.result),
      outcome.error === undefined ? null : JSON.stringify(outcome.error),
    ],
  );
  const [job] = rows;
  if (job === undefined) return false;
  await auditSwitch(session, job, outcome);
  await session.query(
    "DELETE FROM seren_remote.job_secrets WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid",
    [
      jobId,
    ],
  );
  await session.query(
    "DELETE FROM seren_remote.job_checkpoints WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid",
    [
      jobId,
    ],
  );
  await endCopies(session, jobId);
  return true;
}

/**
 * Requests cancellation of a job. Returns its row, locked until the end of the transaction, or
 * undefined if it does not exist.
 */
export async function requestCancellation(
  session: Session,
  id: string,
): Promise<JobRow | undefined> {
  const [row] = await session.query<JobRow>(
    `UPDATE seren_remote.jobs
        SET cancel_requested_at = CASE WHEN finished_at IS NULL
                                       THEN coalesce(cancel_requested_at, pg_catalog.clock_timestamp())
                                       ELSE cancel_requested_at END
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid
      RETURNING ${columns}`,
    [id],
  );
  return row;
}

/** Reads a job's sealed secrets; undefined if they were erased. */
export async function readSecrets(
  session: Session,
  jobId: string,
): Promise<SealedSecrets | undefined> {
  const [row] = await session.query<SealedSecrets>(
    `SELECT key_id AS "keyId", wrapped_key AS "wrappedKey", ciphertext
       FROM seren_remote.job_secrets WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid`,
    [jobId],
  );
  return row;
}

/**
 * Deletes expired jobs, and the expired journals of the remaining ones, up to 1000 at a time.
 */
export async function deleteOldJobs(
  session: Session,
  { jobDays, logDays }: { readonly jobDays: number; readonly logDays: number },
): Promise<void> {
  await session.query(
    `DELETE FROM seren_remote.jobs WHERE id IN (
       SELECT id FROM seren_remote.jobs
        WHERE finished_at < pg_catalog.now() - pg_catalog.make_interval(days => $1::int) LIMIT 1000)`,
    [jobDays],
  );
  for (const table of ["job_events", "job_logs"]) {
    await session.query(
      `DELETE FROM seren_remote.${table} WHERE job_id IN (
         SELECT id FROM seren_remote.jobs AS job
          WHERE finished_at < pg_catalog.now() - pg_catalog.make_interval(days => $1::int)
            AND EXISTS (SELECT FROM seren_remote.${table} AS entry WHERE entry.job_id = job.id)
          LIMIT 1000)`,
      [logDays],
    );
  }
}
