import type { Session } from "../../postgres/internal.ts";

interface Series {
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

/** Counts requests of this instance. Labels are routes, never paths. */
export class RequestMetrics {
  readonly #series = new Map<string, Series>();

  /** Notes a request that was answered. */
  observe(
    { method, route, status, ms }: {
      readonly method: string;
      readonly route: string;
      readonly status: number;
      readonly ms: number;
    },
  ): void {
    // a client can send any method: there must not be a series for each
    const known = methods.has(method) ? method : "OTHER";
    const labels = `method="${known}",route="${route}",status="${status}"`;
    let series = this.#series.get(labels);
    if (series === undefined) {
      series = { count: 0, seconds: 0, buckets: bounds.map(() => 0) };
      this.#series.set(labels, series);
    }
    series.count++;
    series.seconds += ms / 1000;
    for (const [index, bound] of bounds.entries()) {
      if (ms / 1000 <= bound) series.buckets[index]!++;
    }
  }

  /** In the text format of Prometheus. */
  lines(): readonly string[] {
    const name = "seren_http_request_duration_seconds";
    return [
      `# HELP ${name} Time from a request to its answer, of this instance.`,
      `# TYPE ${name} histogram`,
      ...[...this.#series].flatMap(([labels, { count, seconds, buckets }]) => [
        ...buckets.map((value, index) =>
          `${name}_bucket{${labels},le="${bounds[index]}"} ${value}`
        ),
        `${name}_bucket{${labels},le="+Inf"} ${count}`,
        `${name}_sum{${labels}} ${seconds}`,
        `${name}_count{${labels}} ${count}`,
      ]),
    ];
  }
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  /** Rows of `labels` (an object) and `value`. */
  readonly statement: string;
}

const families: readonly Family[] = [
  {
    name: "seren_jobs",
    help: "Jobs that are kept, by command and state.",
    type: "gauge",
    statement: `
      SELECT pg_catalog.jsonb_build_object('command', command, 'state', state) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM seren_remote.jobs GROUP BY command, state ORDER BY command, state`,
  },
  {
    name: "seren_job_run_seconds_sum",
    help: "Time from the first attempt to the end of the finished jobs that are kept.",
    type: "gauge",
    statement: `
      SELECT pg_catalog.jsonb_build_object('command', command, 'state', state) AS labels,
             pg_catalog.sum(extract(epoch FROM finished_at - started_at))::pg_catalog.float8 AS value
        FROM seren_remote.jobs WHERE finished_at IS NOT NULL AND started_at IS NOT NULL
       GROUP BY command, state ORDER BY command, state`,
  },
  {
    name: "seren_queue_waiting",
    help: "Jobs that wait for a worker, by queue.",
    type: "gauge",
    statement: `
      SELECT pg_catalog.jsonb_build_object('queue', queue) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM seren_remote.jobs WHERE state = 'queued' GROUP BY queue ORDER BY queue`,
  },
  {
    name: "seren_queue_oldest_seconds",
    help: "How long the oldest waiting job has waited, by queue.",
    type: "gauge",
    statement: `
      SELECT pg_catalog.jsonb_build_object('queue', queue) AS labels,
             pg_catalog.max(extract(epoch FROM pg_catalog.now() - created_at))::pg_catalog.float8 AS value
        FROM seren_remote.jobs WHERE state = 'queued' GROUP BY queue ORDER BY queue`,
  },
  {
    name: "seren_job_attempts",
    help:
      "Attempts of the jobs that are kept beyond the first of each: lost workers, unreachable servers, drains.",
    type: "gauge",
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, coalesce(pg_catalog.sum(greatest(0, attempt - 1)), 0)::pg_catalog.float8 AS value
        FROM seren_remote.jobs`,
  },
  {
    name: "seren_dead_letters",
    help: "Messages whose workers were lost too often and that are not dealt with yet.",
    type: "gauge",
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value FROM seren_remote_queue.job
       WHERE name = 'dead' AND state < 'completed'`,
  },
  {
    name: "seren_workers",
    help: "Workers heard of within a minute.",
    type: "gauge",
    statement: `
      SELECT pg_catalog.jsonb_build_object('draining', draining::pg_catalog.text) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM seren_remote.workers WHERE seen_at > pg_catalog.now() - interval '1 minute'
       GROUP BY draining ORDER BY draining`,
  },
  {
    name: "seren_worker_slots",
    help: "Jobs that these workers can run at once.",
    type: "gauge",
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, coalesce(pg_catalog.sum(concurrency), 0)::pg_catalog.float8 AS value
        FROM seren_remote.workers WHERE seen_at > pg_catalog.now() - interval '1 minute'`,
  },
  {
    name: "seren_worker_running",
    help: "Jobs that these workers run.",
    type: "gauge",
    statement: `
      SELECT '{}'::pg_catalog.jsonb AS labels, coalesce(pg_catalog.sum(running), 0)::pg_catalog.float8 AS value
        FROM seren_remote.workers WHERE seen_at > pg_catalog.now() - interval '1 minute'`,
  },
  {
    name: "seren_api_keys",
    help: "Keys, by whether they are good.",
    type: "gauge",
    statement: `
      SELECT pg_catalog.jsonb_build_object('state', state) AS labels, pg_catalog.count(*)::pg_catalog.float8 AS value
        FROM (SELECT CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                          WHEN expires_at < pg_catalog.now() THEN 'expired' ELSE 'good' END AS state
                FROM seren_remote.api_keys) AS key
       GROUP BY state ORDER BY state`,
  },
];

/** What the database knows, the same from every instance. */
export async function databaseMetrics(session: Session): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { name, help, type, statement } of families) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    const rows = await session.query<
      { readonly labels: Readonly<Record<string, string>>; readonly value: number }
    >(statement);
    for (const { labels, value } of rows) {
      const text = Object.entries(labels)
        .map(([label, each]) => `${label}="${each.replace(/["\\\n]/g, "\\$&")}"`).join(",");
      lines.push(`${name}${text === "" ? "" : `{${text}}`} ${value}`);
    }
  }
  return lines;
}
