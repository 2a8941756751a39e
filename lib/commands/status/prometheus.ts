/**
 * The report of `status` as metrics. Pure.
 *
 * Source: Prometheus documentation, "Exposition formats", text-based format 0.0.4.
 *
 * @module
 */
import { parseLsn } from "../../core/internal.ts";
import type { StatusReport, StreamState, StreamStatus } from "./report.ts";

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: readonly Sample[];
}

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  /** Null: it cannot be told, and there is no sample. */
  readonly value: number | null;
}

const states: readonly StreamState[] = [
  "streaming",
  "blocked",
  "starting",
  "stopped",
  "disabled",
  "failing",
  "detached",
  "no-subscription",
  "no-slot",
  "lost",
  "unknown",
];

/** The report in the Prometheus text format. A metric whose value cannot be told has no sample. */
export function prometheusMetrics(report: StatusReport): string {
  return [...serverMetrics(report), ...streamMetrics(report), ...databaseMetrics(report)]
    .filter(({ samples }) => samples.some(({ value }) => value !== null))
    .map(printMetric).join("");
}

function serverMetrics({ source, target, wal, healthy, findings }: StatusReport): Metric[] {
  const count = (severity: string) =>
    findings.filter((finding) => finding.severity === severity).length;
  return [
    gauge("seren_up", "Whether the server was reached (1) or not (0).", [
      { labels: { side: "source" }, value: Number(source.reachable) },
      { labels: { side: "target" }, value: Number(target.reachable) },
    ]),
    gauge("seren_healthy", "Whether no finding is a problem.", [
      { labels: {}, value: Number(healthy) },
    ]),
    gauge(
      "seren_findings",
      "Findings by severity.",
      ["problem", "warning"].map((severity) => ({ labels: { severity }, value: count(severity) })),
    ),
    {
      name: "seren_source_wal_bytes_total",
      type: "counter",
      help: "End of the source's WAL, in bytes from its beginning.",
      samples: [{ labels: {}, value: wal === null ? null : Number(parseLsn(wal.lsn)) }],
    },
    gauge("seren_source_wal_bytes_per_second", "WAL that the source writes.", [
      { labels: {}, value: wal?.bytesPerSecond ?? null },
    ]),
  ];
}

function streamMetrics({ databases }: StatusReport): Metric[] {
  const streams = databases.flatMap(({ source, target, streams }) =>
    streams.map((stream) => ({
      stream,
      labels: {
        database: source ?? "",
        target_database: target ?? "",
        stream: stream.name,
        epoch: String(stream.epoch),
      },
    }))
  );
  const of = (value: (stream: StreamStatus) => number | null) =>
    streams.map(({ stream, labels }) => ({ labels, value: value(stream) }));
  const flag = (value: boolean | undefined) => value === undefined ? null : Number(value);
  const prefix = "seren_replication";
  return [
    gauge(
      `${prefix}_state`,
      "What the stream is doing: 1 for its state, 0 for all others.",
      streams.flatMap(({ stream, labels }) =>
        states.map((state) => ({
          labels: { ...labels, state },
          value: Number(stream.state === state),
        }))
      ),
    ),
    gauge(
      `${prefix}_lag_bytes`,
      "WAL that the target has not confirmed.",
      of(({ lagBytes }) => lagBytes),
    ),
    gauge(
      `${prefix}_lag_seconds`,
      "For how long changes wait; 0 when none does.",
      of(({ lagSeconds }) => lagSeconds),
    ),
    gauge(
      `${prefix}_applied_bytes_per_second`,
      "WAL that the target confirms.",
      of(({ appliedBytesPerSecond }) => appliedBytesPerSecond),
    ),
    gauge(
      `${prefix}_slot_active`,
      "Whether somebody reads the slot.",
      of(({ slot }) => flag(slot?.active)),
    ),
    gauge(
      `${prefix}_slot_retained_wal_bytes`,
      "WAL that the slot keeps on the source.",
      of(({ slot }) => slot?.retainedBytes ?? null),
    ),
    gauge(
      `${prefix}_slot_safe_wal_bytes`,
      "WAL that may be written before the slot can be lost.",
      of(({ slot }) => slot?.safeWalBytes ?? null),
    ),
    gauge(
      `${prefix}_slot_seconds_until_lost`,
      "Time until the slot can be lost at the current rate.",
      of(({ slot }) =>
        slot === null || slot.hoursUntilLost === null ? null : slot.hoursUntilLost * 3600
      ),
    ),
    gauge(
      `${prefix}_subscription_enabled`,
      "Whether the subscription is enabled.",
      of(({ subscription }) => flag(subscription?.enabled)),
    ),
    gauge(
      `${prefix}_worker_running`,
      "Whether the apply worker runs.",
      of(({ subscription }) =>
        subscription === null ? null : flag(subscription.workerPid !== null)
      ),
    ),
    counter(
      `${prefix}_apply_errors_total`,
      "Apply errors since statistics were reset.",
      of(({ subscription }) => subscription?.applyErrors ?? null),
    ),
    counter(
      `${prefix}_sync_errors_total`,
      "Errors of first copies since statistics were reset.",
      of(({ subscription }) => subscription?.syncErrors ?? null),
    ),
    counter(
      `${prefix}_conflicts_total`,
      "Conflicts by kind since statistics were reset.",
      streams.flatMap(({ stream, labels }) =>
        Object.entries(stream.subscription?.conflicts ?? {}).map(([kind, value]) => ({
          labels: { ...labels, kind },
          value,
        }))
      ),
    ),
    gauge(
      `${prefix}_tables`,
      "Subscribed tables by state.",
      streams.flatMap(({ stream, labels }) =>
        [...Map.groupBy(stream.subscription?.tables ?? [], ({ state }) => state)].map((
          [state, tables],
        ) => ({ labels: { ...labels, state }, value: tables.length }))
      ),
    ),
  ];
}

function databaseMetrics({ databases }: StatusReport): Metric[] {
  const labels = ({ source, target }: StatusReport["databases"][number]) => ({
    database: source ?? "",
    target_database: target ?? "",
  });
  return [
    gauge(
      "seren_drift_objects",
      "Tables and columns that DDL has changed on one side.",
      databases.map((each) => ({ labels: labels(each), value: each.drift?.length ?? null })),
    ),
    gauge(
      "seren_sequences_behind",
      "Sequences that stand elsewhere on the target; the cutover sets them.",
      databases.map((each) => ({ labels: labels(each), value: each.sequences?.length ?? null })),
    ),
  ];
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, type: "gauge", help, samples };
}

function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, type: "counter", help, samples };
}

function printMetric({ name, type, help, samples }: Metric): string {
  const lines = samples.filter(({ value }) => value !== null).map(({ labels, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`);
    return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

function escape(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
