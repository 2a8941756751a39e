import type { Metric, MetricSample } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

interface Series {
  readonly labels: MetricSample["labels"];
  count: number;
  seconds: number;
  readonly buckets: number[];
}

const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

const methods: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
]);

/** A metric without its samples. */
interface MetricKind extends Omit<Metric, "samples"> {
  readonly labels: readonly string[];
}

const requestDuration: MetricKind = {
  name: "seren_http_request_duration_seconds",
  type: "histogram",
  help: "Duration of requests to this instance.",
  labels: ["method", "route", "status"],
};

const eventStreams: MetricKind = {
  name: "seren_event_streams",
  type: "gauge",
  help: "Open event streams of this instance.",
  labels: [],
};

/** What an instance knows of itself. */
export const instanceMetrics: readonly MetricKind[] = [requestDuration, eventStreams];

/** The number of open event streams. */
export function eventStreamMetric(open: number): Metric {
  return metricOf(eventStreams, [{ labels: {}, value: open }]);
}

function metricOf({ name, type, help }: MetricKind, samples: Metric["samples"]): Metric {
  return { name, type, help, samples };
}

/** Counts the requests of this instance. Labels are routes, never paths. */
export class RequestMetrics {
  readonly #series = new Map<string, Series>();

  /** Counts an answered request. */
  observe(
    { method, route, status, ms }: {
      readonly method: string;
      readonly route: string;
      readonly status: number;
      readonly ms: number;
    },
  ): void {
    const series = this.#seriesOf({
      // clients can send any method, which must not create a series each
      method: methods.has(method) ? method : "OTHER",
      route,
      status: String(status),
    });
    series.count++;
    series.seconds += ms / 1000;
    for (const [index, bound] of bounds.entries()) {
      if (ms / 1000 <= bound) series.buckets[index]!++;
    }
  }

  #seriesOf(labels: Series["labels"]): Series {
    const key = JSON.stringify(labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels, count: 0, seconds: 0, buckets: bounds.map(() => 0) };
      this.#series.set(key, series);
    }
    return series;
  }

  /** The durations of requests, as a histogram. */
  metric(): Metric {
    return metricOf(requestDuration, [...this.#series.values()].flatMap(histogramSamples));
  }
}

function histogramSamples({ labels, count, seconds, buckets }: Series): readonly MetricSample[] {
  const bucket = (le: string, value: number) => ({
    suffix: "_bucket",
    labels: { ...labels, le },
    value,
  });
  return [
    ...buckets.map((value, index) => bucket(String(bounds[index]), value)),
    bucket("+Inf", count),
    { suffix: "_sum", labels, value: seconds },
    { suffix: "_count", labels, value: count },
  ];
}

interface ServiceMetric extends MetricKind {
  /** Returns rows of `labels` (an object with those) and `value`. */
  readonly statement: string;
}

/** What the service's database knows. */
export const serviceMetrics: readonly ServiceMetric[] = [
  {
    name: "seren_jobs",
    help: "Retained jobs, by command and state.",
    type: "gauge",
    labels: ["command", "state"],
    statement: `
      SELECT pg_catalog.jsonb_build_object('command', command, 'state', state) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM seren_remote.jobs GROUP BY command, state ORDER BY command, state`,
  },
  {
    name: "seren_job_run_seconds_sum",
    help: "Total run time of the retained finished jobs, from first attempt to end.",
    type: "gauge",
    labels: ["command", "state"],
    statement: `
      SELECT pg_catalog.jsonb_build_object('command', command, 'state', state) AS labels,
             pg_catalog.sum(extract(epoch FROM finished_at - started_at))::pg_catalog.float8 AS value
        FROM seren_remote.jobs WHERE finished_at IS NOT NULL AND started_at IS NOT NULL
       GROUP BY command, state ORDER BY command, state`,
  },
  {
    name: "seren_queue_waiting",
    help: "Jobs waiting for a worker, by queue.",
    type: "gauge",
    labels: ["queue"],
    statement: `
      SELECT pg_catalog.jsonb_build_object('queue', queue) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM seren_remote.jobs WHERE state = 'queued' GROUP BY queue ORDER BY queue`,
  },
  {
    name: "seren_queue_oldest_seconds",
    help: "How long the oldest queued job has been waiting, by queue.",
    type: "gauge",
    labels: ["queue"],
    statement: `
      SELECT pg_catalog.jsonb_build_object('queue', queue) AS labels,
             pg_catalog.max(extract(epoch FROM pg_catalog.now() - created_at))::pg_catalog.float8 AS value
        FROM seren_remote.jobs WHERE state = 'queued' GROUP BY queue ORDER BY queue`,
  },
  {
    name: "seren_job_attempts",
    help:
      "Attempts of retained jobs after the first of each: lost workers, unreachable servers, shutdowns.",
    type: "gauge",
    labels: [],
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, coalesce(pg_catalog.sum(greatest(0, attempt - 1)), 0)::pg_catalog.float8 AS value
        FROM seren_remote.jobs`,
  },
  {
    name: "seren_dead_letters",
    help:
      "Messages whose workers were lost too many times and whose jobs have not been marked as failed yet.",
    type: "gauge",
    labels: [],
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value FROM seren_remote_queue.job
       WHERE name = 'dead' AND state < 'completed'`,
  },
  {
    name: "seren_workers",
    help: "Workers that reported within the last minute.",
    type: "gauge",
    labels: ["draining"],
    statement: `
      SELECT pg_catalog.jsonb_build_object('draining', draining::pg_catalog.text) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM seren_remote.workers WHERE seen_at > pg_catalog.now() - interval '1 minute'
       GROUP BY draining ORDER BY draining`,
  },
  {
    name: "seren_worker_slots",
    help: "Jobs that these workers can run concurrently.",
    type: "gauge",
    labels: [],
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, coalesce(pg_catalog.sum(concurrency), 0)::pg_catalog.float8 AS value
        FROM seren_remote.workers WHERE seen_at > pg_catalog.now() - interval '1 minute'`,
  },
  {
    name: "seren_worker_running",
    help: "Jobs that these workers are running.",
    type: "gauge",
    labels: [],
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, coalesce(pg_catalog.sum(running), 0)::pg_catalog.float8 AS value
        FROM seren_remote.workers WHERE seen_at > pg_catalog.now() - interval '1 minute'`,
  },
  {
    name: "seren_api_keys",
    help: "API keys, by state.",
    type: "gauge",
    labels: ["state"],
    statement: `
      SELECT pg_catalog.jsonb_build_object('state', state) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM (SELECT CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                          WHEN expires_at < pg_catalog.now() THEN 'expired' ELSE 'good' END AS state
                FROM seren_remote.api_keys) AS key
       GROUP BY state ORDER BY state`,
  },
];

/** Reads what the service's database knows; the same from every instance. */
export async function readDatabaseMetrics(session: Session): Promise<readonly Metric[]> {
  const metrics: Metric[] = [];
  for (const metric of serviceMetrics) {
    metrics.push(metricOf(metric, await session.query<MetricSample>(metric.statement)));
  }
  return metrics;
}
