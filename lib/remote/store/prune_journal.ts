import type { Session } from "../../postgres/internal.ts";
import { noteSeries } from "./journal_series.ts";

/** Limits on the size of a job's journal, however long the job runs. */
export interface JournalBounds {
  /** Maximum number of progress samples older than `recentSeconds`. */
  readonly samples: number;
  /** More recent samples are all kept. */
  readonly recentSeconds: number;
  /** How many of the first and last warnings, retries and messages are kept. */
  readonly firstNotes: number;
  readonly lastNotes: number;
  /** How many of the first and last log lines are kept. */
  readonly firstLines: number;
  readonly lastLines: number;
}

/** The limits of all jobs. */
export const journalBounds: JournalBounds = {
  samples: 5_000,
  recentSeconds: 120,
  firstNotes: 1_000,
  lastNotes: 4_000,
  firstLines: 2_000,
  lastLines: 18_000,
};

/**
 * Prunes a job's journal to its limits. Entries are only deleted, never changed or renumbered, and
 * the latest of each series is kept: a reader reaches the same state whether it starts at the
 * beginning or resumes at any number.
 *
 * Of older samples, the last of each series in each interval is kept, unless its table or step
 * finished in the same interval. The interval is as wide as needed.
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
  // at the widest interval each unfinished series has one or two samples: 20 doublings of a second
  // are 12 days
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

/** Keeps one older sample of each series in each interval. Returns how many remain. */
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
       SELECT number, pg_catalog.floor(extract(epoch FROM at) / $2::pg_catalog.float8) = next_interval AS superseded
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
        USING old WHERE event.job_id = $1::pg_catalog.text::pg_catalog.uuid AND event.number = old.number AND old.superseded
     )
     SELECT (pg_catalog.count(*) FILTER (WHERE superseded IS NOT TRUE))::int AS kept FROM old`,
    [jobId, width, recentSeconds],
  );
  return kept;
}
