import { type Session, textArray } from "../../postgres/internal.ts";
import type { Attempt } from "./job.ts";

/** A copy that a leader offers to others. */
export interface OfferedCopy extends Attempt {
  readonly copyId: string;
  /** What a worker has to know to take part. */
  readonly ciphertext: string;
}

/** A part of it. */
export interface OfferedPart {
  /** Parts are begun in this order. */
  readonly number: number;
  readonly bytes: number;
  readonly ciphertext: string;
}

/** How a member of a copy is called: `leader`, or a helping job and its attempt. */
export type MemberName = string;

/** The leader among the members. */
export const coordinatorName: MemberName = "leader";

/** Which member of which copy. */
export interface Membership {
  readonly copyId: string;
  readonly member: MemberName;
}

/** A member, as the others see it. */
export interface CopyMember {
  readonly member: MemberName;
  readonly worker: string;
  /** From 0, the leader. */
  readonly number: number;
}

/**
 * Offers a copy; what the job has offered before is over. Returns false when the attempt is over.
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

/** Adds parts to a copy. */
export async function offerParts(
  session: Session,
  copyId: string,
  parts: readonly OfferedPart[],
): Promise<void> {
  await session.query(
    `INSERT INTO seren_remote.copy_parts (copy_id, number, bytes, ciphertext)
     SELECT $1::pg_catalog.text::pg_catalog.uuid, number::int, bytes::pg_catalog.float8, ciphertext
       FROM unnest($2::pg_catalog.text[], $3::pg_catalog.text[], $4::pg_catalog.text[]) AS part (number, bytes, ciphertext)`,
    [
      copyId,
      textArray(parts.map(({ number }) => String(number))),
      textArray(parts.map(({ bytes }) => String(bytes))),
      textArray(parts.map(({ ciphertext }) => ciphertext)),
    ],
  );
}

/**
 * Takes in a job that helps another one; everything that limits and names it is the other one's.
 */
export async function insertHelper(
  session: Session,
  { id, messageId, queue, copyId, jobId, attempt }: Attempt & {
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

/** A copy that can be taken part in; undefined when it is over. */
export async function readOffer(session: Session, copyId: string): Promise<string | undefined> {
  const [row] = await session.query<{ readonly ciphertext: string }>(
    `SELECT copy.ciphertext FROM seren_remote.copies AS copy
       JOIN seren_remote.jobs AS job ON job.id = copy.job_id AND job.attempt = copy.attempt
      WHERE copy.id = $1::pg_catalog.text::pg_catalog.uuid AND NOT copy.closed AND job.state = 'running'`,
    [copyId],
  );
  return row?.ciphertext;
}

/** A worker takes part from now on. Returns its number. */
export async function joinCopy(
  session: Session,
  { copyId, member, worker }: Membership & { readonly worker: string },
): Promise<number> {
  // the leader's row is locked: two that come at once get two numbers
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
    [copyId, member, worker],
  );
  return number;
}

/**
 * Says that a member lives, and asks whether it is still wanted: the copy is open, the leader's
 * attempt is the job's last one and not to be cancelled, the leader was heard of within
 * `leaseSeconds`, and has not given the member up.
 */
export async function stayInCopy(
  session: Session,
  { copyId, member, leaseSeconds }: Membership & { readonly leaseSeconds: number },
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
    [copyId, member, leaseSeconds],
  );
  return rows.length > 0;
}

/** Says that the leader lives. False: another attempt has begun, or the job is over. */
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

/** How much is claimed at once: one part, or several small ones. */
export interface ClaimSize {
  readonly maxParts: number;
  readonly maxBytes: number;
}

/** Claims the next parts for a member that is still one. */
export async function claimParts(
  session: Session,
  { copyId, member, maxParts, maxBytes }: Membership & ClaimSize,
): Promise<readonly Pick<OfferedPart, "number" | "ciphertext">[]> {
  return await session.query<Pick<OfferedPart, "number" | "ciphertext">>(
    `WITH own AS (
       SELECT FROM seren_remote.copy_members AS m
         JOIN seren_remote.copies AS copy ON copy.id = m.copy_id AND NOT copy.closed
        WHERE m.copy_id = $1::pg_catalog.text::pg_catalog.uuid AND m.member = $2::pg_catalog.text AND NOT m.gone
          FOR SHARE OF m
     ), waiting AS (
       SELECT number, bytes FROM seren_remote.copy_parts
        WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member IS NULL AND EXISTS (SELECT FROM own)
        ORDER BY number LIMIT $3::int
          FOR UPDATE SKIP LOCKED
     ), next AS (
       SELECT number, pg_catalog.sum(bytes) OVER (ORDER BY number) - bytes AS before FROM waiting
     )
     UPDATE seren_remote.copy_parts AS part SET member = $2::pg_catalog.text
       FROM next
      WHERE part.copy_id = $1::pg_catalog.text::pg_catalog.uuid AND part.number = next.number AND next.before < $4::pg_catalog.float8
      RETURNING part.number, part.ciphertext`,
    [copyId, member, maxParts, maxBytes],
  );
}

/** What a member has claimed and not done: it may not have heard of all of it. */
export async function readClaimedParts(
  session: Session,
  { copyId, member }: Membership,
): Promise<readonly Pick<OfferedPart, "number" | "ciphertext">[]> {
  return await session.query<Pick<OfferedPart, "number" | "ciphertext">>(
    `SELECT number, ciphertext FROM seren_remote.copy_parts
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member = $2::pg_catalog.text AND NOT done`,
    [copyId, member],
  );
}

/** What a helper says of a part that it has claimed. */
export interface PartNews {
  readonly number: number;
  readonly lane: number;
  readonly moved: number;
  /** When it is committed on the target. */
  readonly rows: number | undefined;
}

/** Keeps what a member says of its parts. */
export async function reportParts(
  session: Session,
  { copyId, member }: Membership,
  news: readonly PartNews[],
): Promise<void> {
  const texts = (values: readonly (number | undefined)[]) =>
    textArray(values.map((value) => String(value ?? -1)));
  await session.query(
    `UPDATE seren_remote.copy_parts AS part
        SET lane = news.lane::int, moved = news.moved::pg_catalog.float8, done = news.rows <> '-1',
            rows = nullif(news.rows, '-1')::pg_catalog.float8
       FROM unnest($3::pg_catalog.text[], $4::pg_catalog.text[], $5::pg_catalog.text[], $6::pg_catalog.text[]) AS news (number, lane, moved, rows)
      WHERE part.copy_id = $1::pg_catalog.text::pg_catalog.uuid AND part.number = news.number::int AND part.member = $2::pg_catalog.text`,
    [
      copyId,
      member,
      texts(news.map(({ number }) => number)),
      texts(news.map(({ lane }) => lane)),
      texts(news.map(({ moved }) => moved)),
      texts(news.map(({ rows }) => rows)),
    ],
  );
}

/**
 * A member is not there any more, by itself or because it was not heard of; what it has not done
 * waits again.
 */
export async function leaveCopy(
  session: Session,
  { copyId, member }: Membership,
  { keep = [] }: {
    /** Parts that it has claimed and that are not to wait: they are done. */
    readonly keep?: readonly number[];
  } = {},
): Promise<void> {
  await session.query(
    `WITH own AS (
       UPDATE seren_remote.copy_members SET gone = true
        WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member = $2::pg_catalog.text
     )
     UPDATE seren_remote.copy_parts SET member = NULL, lane = NULL, moved = 0
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member = $2::pg_catalog.text AND NOT done AND number <> ALL ($3::int[])`,
    [copyId, member, `{${keep.join(",")}}`],
  );
}

/** A part that somebody has claimed. */
export interface ClaimedPart {
  readonly number: number;
  readonly member: MemberName;
  readonly lane: number | null;
  readonly moved: number;
  readonly done: boolean;
  readonly rows: number | null;
}

/** How a copy stands, for its leader. */
export interface CopyNews {
  readonly members: readonly (CopyMember & { readonly gone: boolean; readonly lost: boolean })[];
  /** Of helpers. */
  readonly claimed: readonly ClaimedPart[];
  readonly waiting: number;
}

/** Reads how a copy stands. */
export async function readCopyNews(
  session: Session,
  { copyId, leaseSeconds }: { readonly copyId: string; readonly leaseSeconds: number },
): Promise<CopyNews> {
  const members = await session.query<CopyNews["members"][number]>(
    `SELECT member, worker, number, gone,
            NOT gone AND seen_at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $2::pg_catalog.float8) AS lost
       FROM seren_remote.copy_members
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND number > 0 ORDER BY number`,
    [copyId, leaseSeconds],
  );
  const claimed = await session.query<ClaimedPart>(
    `SELECT number, member, lane, moved, done, rows FROM seren_remote.copy_parts
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member IS NOT NULL AND member <> $2::pg_catalog.text`,
    [copyId, coordinatorName],
  );
  const { waiting } = await session.queryOne<{ readonly waiting: number }>(
    `SELECT pg_catalog.count(*)::int AS waiting FROM seren_remote.copy_parts
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member IS NULL`,
    [copyId],
  );
  return { members, claimed, waiting };
}

/** Parts that the leader knows to be done. */
export async function forgetParts(
  session: Session,
  copyId: string,
  numbers: readonly number[],
): Promise<void> {
  await session.query(
    "DELETE FROM seren_remote.copy_parts WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND number = ANY ($2::int[])",
    [copyId, `{${numbers.join(",")}}`],
  );
}

/**
 * Ends a copy: nobody claims anything of it any more, and helpers that have not begun never will.
 */
export async function closeCopy(session: Session, copyId: string): Promise<void> {
  await session.query(
    "UPDATE seren_remote.copies SET closed = true WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
    [
      copyId,
    ],
  );
  await session.query(
    "DELETE FROM seren_remote.copy_parts WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid",
    [
      copyId,
    ],
  );
  await endHelpers(session, "copy_id", copyId);
}

/** Ends all that a job has offered. */
export async function endCopies(session: Session, jobId: string): Promise<void> {
  await session.query(
    "DELETE FROM seren_remote.copies WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid",
    [jobId],
  );
  await endHelpers(session, "parent_id", jobId);
}

/** Helpers that wait are not needed any more; those that run see it by themselves. */
async function endHelpers(
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
