import type { Session } from "../../postgres/internal.ts";
import { noteSeries } from "./journal_series.ts";

/** How much of a job's journal is kept, however long the job takes. */
export interface JournalBounds {
  /** Events that only say how far something is, and are older than `recentSeconds`. */
  readonly samples: number;
  /** Younger ones are all there. */
  readonly recentSeconds: number;
  /** Warnings, retries and other news: so many of the first, so many of the last. */
  readonly firstNotes: number;
  readonly lastNotes: number;
  /** Lines of the log: so many of the first, so many of the last. */
  readonly firstLines: number;
  readonly lastLines: number;
}

/** What holds for all jobs. */
export const journalBounds: JournalBounds = {
  samples: 5_000,
  recentSeconds: 120,
  firstNotes: 1_000,
  lastNotes: 4_000,
  firstLines: 2_000,
  lastLines: 18_000,
};

/**
 * Thins the journal of a job to its bounds. Nothing is changed or numbered anew, only left out, and
 * never the last word on anything: who reads from the beginning, or goes on from any number, comes
 * to the same picture.
 *
 * Of samples that are not recent the last of each series in each interval stays, the interval being
 * as wide as it takes; none where its table or step was finished in the same interval.
 */
export async function pruneJournal(
  session: Session,
  jobId: string,
  bounds: JournalBounds = journalBounds,
): Promise<void> {
  const { samples, recentSeconds } = bounds;
  let { width } = await session.queryOne<{ readonly width: number }>(
    "SELECT sample_seconds AS width FROM seren_remote.jobs WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
    [jobId],
  );
  // at the widest each series has one sample or two, and what is finished none: twenty doublings
  // are twelve days
  for (let doublings = 0; doublings < 20; doublings++, width *= 2) {
    const kept = await thinSamples(session, { jobId, width, recentSeconds });
    if (kept <= samples) break;
  }
  await session.query(
    "UPDATE seren_remote.jobs SET sample_seconds = greatest(sample_seconds, $2::pg_catalog.float8) WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
    [jobId, width],
  );
  await session.query(
    `DELETE FROM seren_remote.job_events
      WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND series = $2::pg_catalog.text
        AND number > (SELECT number FROM seren_remote.job_events
                       WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND series = $2::pg_catalog.text
                       ORDER BY number OFFSET $3::int - 1 LIMIT 1)
        AND number < (SELECT number FROM seren_remote.job_events
                       WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND series = $2::pg_catalog.text
                       ORDER BY number DESC OFFSET $4::int - 1 LIMIT 1)`,
    [jobId, noteSeries, bounds.firstNotes, bounds.lastNotes],
  );
  await session.query(
    `DELETE FROM seren_remote.job_logs
      WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND number > $2::bigint
        AND number <= (SELECT last_log FROM seren_remote.jobs WHERE id = $1::pg_catalog.text::pg_catalog.uuid) - $3::bigint`,
    [jobId, bounds.firstLines, bounds.lastLines],
  );
}

/**
 * Thins what is not recent to one of each series in each interval. Returns how many of them stay.
 */
async function thinSamples(
  session: Session,
  { jobId, width, recentSeconds }: {
    readonly jobId: string;
    readonly width: number;
    readonly recentSeconds: number;
  },
): Promise<number> {
  const { kept } = await session.queryOne<{ readonly kept: number }>(
    `WITH old AS MATERIALIZED (
       SELECT number, pg_catalog.floor(extract(epoch FROM at) / $2::pg_catalog.float8) = next_interval AS said_again
         FROM seren_remote.job_events AS event
         LEFT JOIN LATERAL (
           SELECT pg_catalog.floor(extract(epoch FROM next.at) / $2::pg_catalog.float8) AS next_interval
             FROM seren_remote.job_events AS next
            WHERE next.job_id = event.job_id AND next.series = event.series AND next.number > event.number
            ORDER BY next.number LIMIT 1) AS next ON true
        WHERE job_id = $1::pg_catalog.text::pg_catalog.uuid AND sample
          AND at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $3::pg_catalog.float8)
     ), thinned AS (
       DELETE FROM seren_remote.job_events AS event
        USING old WHERE event.job_id = $1::pg_catalog.text::pg_catalog.uuid AND event.number = old.number AND old.said_again
     )
     SELECT (pg_catalog.count(*) FILTER (WHERE said_again IS NOT TRUE))::int AS kept FROM old`,
    [jobId, width, recentSeconds],
  );
  return kept;
}
