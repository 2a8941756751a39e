import type { Session } from "../../postgres/internal.ts";
import type { JobAttempt } from "./job.ts";

/** Reads the checkpoint of an operation of a job; undefined if it has none. */
export async function readCheckpoint(
  session: Session,
  { jobId, operation }: { readonly jobId: string; readonly operation: string },
): Promise<string | undefined> {
  const [row] = await session.query<{ readonly ciphertext: string }>(
    `SELECT ciphertext FROM seren_remote.job_checkpoints
      WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND operation = $2::pg_catalog.text`,
    [jobId, operation],
  );
  return row?.ciphertext;
}

/** Replaces a checkpoint. Returns false, and writes nothing, if another attempt has started. */
export async function writeCheckpoint(
  session: Session,
  { jobId, attempt, operation, ciphertext }: JobAttempt & {
    readonly operation: string;
    readonly ciphertext: string;
  },
): Promise<boolean> {
  const rows = await session.query(
    `INSERT INTO seren_remote.job_checkpoints (job_id, operation, ciphertext)
     SELECT id, $3::pg_catalog.text, $4::pg_catalog.text FROM seren_remote.jobs
      WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND attempt = $2::int AND state = 'running'
        FOR UPDATE
     ON CONFLICT (job_id, operation) DO UPDATE
        SET ciphertext = excluded.ciphertext, updated_at = pg_catalog.now()
     RETURNING job_id`,
    [jobId, attempt, operation, ciphertext],
  );
  return rows.length > 0;
}
