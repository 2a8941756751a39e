import { type Session, textArray } from "../../postgres/internal.ts";
import {
  coordinatorName,
  type CopyParticipant,
  type ParticipantName,
  type Participation,
} from "./copy_participants.ts";

/** A part of an offered copy. */
export interface OfferedPart {
  /** Parts are started in this order. */
  readonly number: number;
  readonly bytes: number;
  readonly ciphertext: string;
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

/** How much is claimed at once: one part, or several small ones. */
export interface ClaimSize {
  readonly maxParts: number;
  readonly maxBytes: number;
}

/** A claimed part, encrypted. */
export type SealedPart = Pick<OfferedPart, "number" | "ciphertext">;

/** Claims the next parts for a participant, unless it was removed or the copy is closed. */
export async function claimParts(
  session: Session,
  { copyId, participant, maxParts, maxBytes }: Participation & ClaimSize,
): Promise<readonly SealedPart[]> {
  return await session.query<SealedPart>(
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
       SELECT number, pg_catalog.sum(bytes) OVER (ORDER BY number) - bytes AS preceding FROM waiting
     )
     UPDATE seren_remote.copy_parts AS part SET member = $2::pg_catalog.text
       FROM next
      WHERE part.copy_id = $1::pg_catalog.text::pg_catalog.uuid AND part.number = next.number AND next.preceding < $4::pg_catalog.float8
      RETURNING part.number, part.ciphertext`,
    [copyId, participant, maxParts, maxBytes],
  );
}

/** Reads a participant's unfinished parts, some of which it may not know it has claimed. */
export async function readClaimedParts(
  session: Session,
  { copyId, participant }: Participation,
): Promise<readonly SealedPart[]> {
  return await session.query<SealedPart>(
    `SELECT number, ciphertext FROM seren_remote.copy_parts
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member = $2::pg_catalog.text AND NOT done`,
    [copyId, participant],
  );
}

/** A helper's progress with a part it has claimed. */
export interface PartProgress {
  readonly number: number;
  readonly lane: number;
  readonly moved: number;
  /** Set once the part is committed on the target. */
  readonly rows: number | undefined;
}

/** Records a participant's progress with its parts. */
export async function reportParts(
  session: Session,
  { copyId, participant }: Participation,
  progress: readonly PartProgress[],
): Promise<void> {
  const texts = (values: readonly (number | undefined)[]) =>
    textArray(values.map((value) => String(value ?? -1)));
  await session.query(
    `UPDATE seren_remote.copy_parts AS part
        SET lane = progress.lane::int, moved = progress.moved::pg_catalog.float8, done = progress.rows <> '-1',
            rows = nullif(progress.rows, '-1')::pg_catalog.float8
       FROM unnest($3::pg_catalog.text[], $4::pg_catalog.text[], $5::pg_catalog.text[], $6::pg_catalog.text[]) AS progress (number, lane, moved, rows)
      WHERE part.copy_id = $1::pg_catalog.text::pg_catalog.uuid AND part.number = progress.number::int AND part.member = $2::pg_catalog.text`,
    [
      copyId,
      participant,
      texts(progress.map(({ number }) => number)),
      texts(progress.map(({ lane }) => lane)),
      texts(progress.map(({ moved }) => moved)),
      texts(progress.map(({ rows }) => rows)),
    ],
  );
}

/** A part claimed by a helper. */
export interface ClaimedPart {
  readonly number: number;
  readonly participant: ParticipantName;
  readonly lane: number | null;
  readonly moved: number;
  readonly done: boolean;
  readonly rows: number | null;
}

/** The status of a copy, for its coordinator. */
export interface CopyStatus {
  readonly helpers:
    readonly (CopyParticipant & { readonly gone: boolean; readonly lost: boolean })[];
  readonly claimed: readonly ClaimedPart[];
  /** Parts not claimed yet. */
  readonly waiting: number;
}

/** Reads the status of a copy. */
export async function readCopyStatus(
  session: Session,
  { copyId, leaseSeconds }: { readonly copyId: string; readonly leaseSeconds: number },
): Promise<CopyStatus> {
  const helpers = await session.query<CopyStatus["helpers"][number]>(
    `SELECT member AS participant, worker, number, gone,
            NOT gone AND seen_at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $2::pg_catalog.float8) AS lost
       FROM seren_remote.copy_members
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND number > 0 ORDER BY number`,
    [copyId, leaseSeconds],
  );
  const claimed = await session.query<ClaimedPart>(
    `SELECT number, member AS participant, lane, moved, done, rows FROM seren_remote.copy_parts
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member IS NOT NULL AND member <> $2::pg_catalog.text`,
    [copyId, coordinatorName],
  );
  const { waiting } = await session.queryOne<{ readonly waiting: number }>(
    `SELECT pg_catalog.count(*)::int AS waiting FROM seren_remote.copy_parts
      WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND member IS NULL`,
    [copyId],
  );
  return { helpers, claimed, waiting };
}

/** Deletes parts that the coordinator knows to be finished. */
export async function deleteFinishedParts(
  session: Session,
  copyId: string,
  numbers: readonly number[],
): Promise<void> {
  await session.query(
    "DELETE FROM seren_remote.copy_parts WHERE copy_id = $1::pg_catalog.text::pg_catalog.uuid AND number = ANY ($2::int[])",
    [copyId, `{${numbers.join(",")}}`],
  );
}
