import { type Session, textArray } from "../../postgres/internal.ts";
import type { JobAttempt, JobProgress } from "./job.ts";
import type { JobEvent, LogLine, NewLogLine, NumberedEvent } from "./journal_entry.ts";
import { seriesOf } from "./journal_series.ts";

/**
 * Appends events and log lines to a job. They are numbered while the job's row is locked, so a
 * reader that has seen number 5 never misses a number 4.
 *
 * @returns false if the attempt is not the job's latest
 */
export async function appendJournal(
  session: Session,
  { jobId, attempt }: {
    readonly jobId: string;
    readonly attempt?: JobAttempt["attempt"] | undefined;
  },
  { events = [], lines = [], progress }: {
    readonly events?: readonly JobEvent[];
    readonly lines?: readonly NewLogLine[];
    readonly progress?: JobProgress | undefined;
  },
): Promise<boolean> {
  const rows = await session.query(
    `WITH job AS (
       UPDATE seren_remote.jobs
          SET last_event = last_event + pg_catalog.jsonb_array_length($3::pg_catalog.jsonb),
              last_log = last_log + pg_catalog.jsonb_array_length($4::pg_catalog.jsonb),
              progress = coalesce($5::pg_catalog.jsonb, progress)
        WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND ($2::int IS NULL OR attempt = $2::int)
        RETURNING id, last_event - pg_catalog.jsonb_array_length($3::pg_catalog.jsonb) AS event_base,
                  last_log - pg_catalog.jsonb_array_length($4::pg_catalog.jsonb) AS log_base
     ), events AS (
       INSERT INTO seren_remote.job_events (job_id, number, event, series, sample)
       SELECT job.id, job.event_base + each.ordinality, each.value -> 'event', each.value ->> 'series',
              coalesce((each.value ->> 'sample')::boolean, false)
         FROM job, pg_catalog.jsonb_array_elements($3::pg_catalog.jsonb) WITH ORDINALITY AS each
     ), lines AS (
       INSERT INTO seren_remote.job_logs (job_id, number, level, message)
       SELECT job.id, job.log_base + each.ordinality, each.value ->> 'level', each.value ->> 'message'
         FROM job, pg_catalog.jsonb_array_elements($4::pg_catalog.jsonb) WITH ORDINALITY AS each
     )
     SELECT id FROM job`,
    [
      jobId,
      attempt ?? null,
      JSON.stringify(events.map((event) => ({ event, ...seriesOf(event) }))),
      JSON.stringify(lines),
      progress === undefined ? null : JSON.stringify(progress),
    ],
  );
  return rows.length > 0;
}

/** A job, and the position to read its events from. */
export interface JournalPosition {
  readonly jobId: string;
  /** Number of the last event already read; 0 for none. */
  readonly after: number;
}

/** Reads the next events of jobs, in order, up to `limit` for each job. */
export async function readEvents(
  session: Session,
  positions: readonly JournalPosition[],
  limit: number,
): Promise<readonly NumberedEvent[]> {
  return await session.query<NumberedEvent>(
    `SELECT e.job_id AS "jobId", e.number::pg_catalog.float8 AS number, e.at, e.event
       FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS position (job_id, after)
      CROSS JOIN LATERAL (
        SELECT * FROM seren_remote.job_events AS e
         WHERE e.job_id = position.job_id::pg_catalog.uuid AND e.number > position.after::bigint
         ORDER BY e.number LIMIT $3::int) AS e
      ORDER BY e.job_id, e.number`,
    [
      textArray(positions.map(({ jobId }) => jobId)),
      textArray(positions.map(({ after }) => String(after))),
      limit,
    ],
  );
}

/** Reads the last lines of a job's log before a number, oldest first. */
export async function readLogsBefore(
  session: Session,
  { jobId, before, limit }: {
    readonly jobId: string;
    readonly before: number;
    readonly limit: number;
  },
): Promise<readonly LogLine[]> {
  const lines = await session.query<LogLine>(
    `SELECT number::pg_catalog.float8 AS number, at, level, message FROM seren_remote.job_logs
      WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND number < $2::bigint
      ORDER BY number DESC LIMIT $3::int`,
    [jobId, before, limit],
  );
  return lines.toReversed();
}

/** Reads the lines of a job's log after a number. */
export async function readLogs(
  session: Session,
  { jobId, after, limit }: {
    readonly jobId: string;
    readonly after: number;
    readonly limit: number;
  },
): Promise<readonly LogLine[]> {
  return await session.query<LogLine>(
    `SELECT number::pg_catalog.float8 AS number, at, level, message FROM seren_remote.job_logs
      WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND number > $2::bigint
      ORDER BY number LIMIT $3::int`,
    [jobId, after, limit],
  );
}
