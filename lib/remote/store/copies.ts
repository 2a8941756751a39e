import type { Session } from "../../postgres/internal.ts";
import { coordinatorName } from "./copy_participants.ts";
import type { JobAttempt } from "./job.ts";

/** A copy that its coordinator offers to helpers. */
export interface OfferedCopy extends JobAttempt {
  readonly copyId: string;
  /** What a worker needs to take part, encrypted. */
  readonly ciphertext: string;
}

/**
 * Offers a copy and ends what the job offered before. Returns false if the attempt has ended.
 */
export async function offerCopy(
  session: Session,
  { copyId, jobId, attempt, ciphertext, worker }: OfferedCopy & { readonly worker: string },
): Promise<boolean> {
  await endCopies(session, jobId);
  const rows = await session.query(
    `INSERT INTO seren_remote.copies (id, job_id, attempt, ciphertext)
     SELECT $3::pg_catalog.text::pg_catalog.uuid, id, attempt, $4::pg_catalog.text FROM seren_remote.jobs
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND attempt = $2::int AND state = 'running'
     RETURNING id`,
    [jobId, attempt, copyId, ciphertext],
  );
  if (rows.length === 0) return false;
  await session.query(
    `INSERT INTO seren_remote.copy_members (copy_id, member, worker, number)
     VALUES ($1::pg_catalog.text::pg_catalog.uuid, $2::pg_catalog.text, $3::pg_catalog.text, 0)`,
    [copyId, coordinatorName, worker],
  );
  return true;
}

/** Whether a copy was offered. */
export async function isOffered(session: Session, copyId: string): Promise<boolean> {
  const rows = await session.query(
    "SELECT FROM seren_remote.copies WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
    [copyId],
  );
  return rows.length > 0;
}

/** Stores a helper: a job that copies rows of another job, with that job's owner and limits. */
export async function insertHelper(
  session: Session,
  { id, messageId, queue, copyId, jobId, attempt }: JobAttempt & {
    readonly id: string;
    readonly messageId: string;
    readonly queue: string;
    readonly copyId: string;
  },
): Promise<void> {
  await session.query(
    `INSERT INTO seren_remote.jobs (
       id, owner, api_key_id, command, state, queue, message_id, spec, timeout_seconds, trace_id,
       parent_id, parent_attempt, copy_id)
     SELECT $1::pg_catalog.text::pg_catalog.uuid, owner, api_key_id, command, 'queued', $3::pg_catalog.text, $2::pg_catalog.text::pg_catalog.uuid, spec, timeout_seconds, trace_id,
            id, $5::int, $6::pg_catalog.text::pg_catalog.uuid
       FROM seren_remote.jobs WHERE id = $4::pg_catalog.text::pg_catalog.uuid`,
    [id, messageId, queue, jobId, attempt, copyId],
  );
}

/** Reads the offer of an open copy, encrypted; undefined if the copy has ended. */
export async function readOffer(session: Session, copyId: string): Promise<string | undefined> {
  const [row] = await session.query<{ readonly ciphertext: string }>(
    `SELECT copy.ciphertext FROM seren_remote.copies AS copy
       JOIN seren_remote.jobs AS job ON job.id = copy.job_id AND job.attempt = copy.attempt
      WHERE copy.id = $1::pg_catalog.text::pg_catalog.uuid AND NOT copy.closed AND job.state = 'running'`,
    [copyId],
  );
  return row?.ciphertext;
}

/** Closes a copy: no further parts are claimed, and helpers still queued are cancelled. */
export async function closeCopy(session: Session, copyId: string): Promise<void> {
  await session.query(
    "UPDATE seren_remote.copies SET closed = true WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
    [copyId],
  );
  await session.query(
    "DELETE FROM seren_remote.copy_parts WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid",
    [copyId],
  );
  await cancelQueuedHelpers(session, "copy_id", copyId);
}

/** Ends every copy that a job has offered. */
export async function endCopies(session: Session, jobId: string): Promise<void> {
  await session.query(
    "DELETE FROM seren_remote.copies WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid",
    [jobId],
  );
  await cancelQueuedHelpers(session, "parent_id", jobId);
}

/** Running helpers notice on their own that the copy has ended. */
async function cancelQueuedHelpers(
  session: Session,
  column: "copy_id" | "parent_id",
  id: string,
): Promise<void> {
  await session.query(
    `UPDATE seren_remote.jobs
        SET state = 'cancelled', exit_code = 0, finished_at = pg_catalog.clock_timestamp()
      WHERE ${column} = $1::pg_catalog.text::pg_catalog.uuid AND parent_id IS NOT NULL AND state = 'queued'`,
    [id],
  );
}
