import type { Session } from "../../postgres/internal.ts";

/** Identifies a participant of a copy: `leader`, or the id and attempt of a helper. */
export type ParticipantName = string;

/** The coordinator's name. */
export const coordinatorName: ParticipantName = "leader";

/** A participant of a copy. */
export interface Participation {
  readonly copyId: string;
  readonly participant: ParticipantName;
}

/** A participant and its worker. */
export interface CopyParticipant {
  readonly participant: ParticipantName;
  readonly worker: string;
  /** 0 is the coordinator. */
  readonly number: number;
}

/** Adds a participant to a copy. Returns its number. */
export async function joinCopy(
  session: Session,
  { copyId, participant, worker }: Participation & { readonly worker: string },
): Promise<number> {
  // locks the coordinator's row, so that concurrent participants get different numbers
  const { number } = await session.queryOne<{ readonly number: number }>(
    `WITH leader AS (
       SELECT copy_id FROM seren_remote.copy_members
        WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND number = 0 FOR UPDATE
     )
     INSERT INTO seren_remote.copy_members (copy_id, member, worker, number)
     SELECT copy_id, $2::pg_catalog.text, $3::pg_catalog.text,
            (SELECT pg_catalog.max(number) + 1 FROM seren_remote.copy_members AS other WHERE other.copy_id = leader.copy_id)
       FROM leader
         ON CONFLICT (copy_id, member) DO UPDATE SET seen_at = pg_catalog.clock_timestamp()
     RETURNING number`,
    [copyId, participant, worker],
  );
  return number;
}

/**
 * Records that a helper is alive. Returns whether it should continue: the copy is open, the
 * coordinator's attempt is the job's latest and is not being cancelled, the coordinator reported
 * within `leaseSeconds`, and it has not removed the helper.
 */
export async function stayInCopy(
  session: Session,
  { copyId, participant, leaseSeconds }: Participation & { readonly leaseSeconds: number },
): Promise<boolean> {
  const rows = await session.query(
    `UPDATE seren_remote.copy_members AS own SET seen_at = pg_catalog.clock_timestamp()
       FROM seren_remote.copies AS copy
       JOIN seren_remote.jobs AS job ON job.id = copy.job_id AND job.attempt = copy.attempt
      WHERE own.copy_id = $1::pg_catalog.text::pg_catalog.uuid AND own.member = $2::pg_catalog.text AND NOT own.gone
        AND copy.id = own.copy_id AND NOT copy.closed
        AND job.state = 'running' AND job.cancel_requested_at IS NULL
        AND copy.leader_seen_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $3::pg_catalog.float8)
      RETURNING own.member`,
    [copyId, participant, leaseSeconds],
  );
  return rows.length > 0;
}

/**
 * Records that the coordinator is alive. Returns false if another attempt has started or the job
 * has ended.
 */
export async function coordinateCopy(session: Session, copyId: string): Promise<boolean> {
  const rows = await session.query(
    `UPDATE seren_remote.copies AS copy SET leader_seen_at = pg_catalog.clock_timestamp()
       FROM seren_remote.jobs AS job
      WHERE copy.id = $1::pg_catalog.text::pg_catalog.uuid AND job.id = copy.job_id
        AND job.attempt = copy.attempt AND job.state = 'running'
      RETURNING copy.id`,
    [copyId],
  );
  return rows.length > 0;
}

/**
 * Removes a participant that has left or was lost. Parts that it claimed and did not finish become
 * available again.
 */
export async function leaveCopy(
  session: Session,
  { copyId, participant }: Participation,
  { finished = [] }: {
    /** Claimed parts known to be finished, which must not become available. */
    readonly finished?: readonly number[];
  } = {},
): Promise<void> {
  await session.query(
    `WITH own AS (
       UPDATE seren_remote.copy_members SET gone = true
        WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member = $2::pg_catalog.text
     )
     UPDATE seren_remote.copy_parts SET member = NULL, lane = NULL, moved = 0
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member = $2::pg_catalog.text AND NOT done AND number <> ALL ($3::int[])`,
    [copyId, participant, `{${finished.join(",")}}`],
  );
}
