/**
 * The report of `status` as metrics. Pure.
 *
 * @module
 */
import {
  type Metric,
  type MetricSample,
  parseLsn,
  printMetrics,
  severities,
} from "../../core/internal.ts";
import { streamStates } from "../../replication/internal.ts";
import { cutoverPhases, type StatusReport, type StreamStatus } from "./report.ts";

/** A sample whose value is null if it is unknown. */
type MetricReading = Pick<MetricSample, "labels"> & { readonly value: number | null };

/** A metric of a report. */
export interface StatusMetric extends Omit<Metric, "samples"> {
  readonly readings: readonly MetricReading[];
}

/** The report in the Prometheus text format, without the values that are unknown. */
export function prometheusMetrics(report: StatusReport): string {
  const metrics = statusMetrics(report).map(({ readings, ...metric }) => ({
    ...metric,
    samples: readings.flatMap(({ labels, value }) => value === null ? [] : [{ labels, value }]),
  }));
  return printMetrics(metrics.filter(({ samples }) => samples.length > 0));
}

/** Every metric, with the values that are unknown. */
export function statusMetrics(report: StatusReport): readonly StatusMetric[] {
  return [...serverMetrics(report), ...streamMetrics(report), ...databaseMetrics(report)];
}

function serverMetrics({ source, target, wal, healthy, findings }: StatusReport): StatusMetric[] {
  const count = (severity: string) =>
    findings.filter((finding) => finding.severity === severity).length;
  return [
    gauge("seren_up", "Whether the server can be reached (1) or not (0).", [
      { labels: { side: "source" }, value: Number(source.reachable) },
      { labels: { side: "target" }, value: Number(target.reachable) },
    ]),
    gauge("seren_healthy", "Whether there are no problems (1) or at least one (0).", [
      { labels: {}, value: Number(healthy) },
    ]),
    gauge(
      "seren_findings",
      "Findings by severity.",
      severities.map((severity) => ({ labels: { severity }, value: count(severity) })),
    ),
    counter(
      "seren_source_wal_bytes_total",
      "End of the source's WAL, in bytes from its beginning.",
      [
        { labels: {}, value: wal === null ? null : Number(parseLsn(wal.lsn)) },
      ],
    ),
    gauge(
      "seren_source_wal_bytes_per_second",
      "WAL generated on the source, in bytes per second.",
      [
        { labels: {}, value: wal?.bytesPerSecond ?? null },
      ],
    ),
  ];
}

function streamMetrics({ databases }: StatusReport): StatusMetric[] {
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
        streamStates.map((state) => ({
          labels: { ...labels, state },
          value: Number(stream.state === state),
        }))
      ),
    ),
    gauge(
      `${prefix}_lag_bytes`,
      "WAL not yet confirmed by the target.",
      of(({ lagBytes }) => lagBytes),
    ),
    gauge(
      `${prefix}_lag_seconds`,
      "How long the oldest unapplied change has been waiting; 0 if there is none.",
      of(({ lagSeconds }) => lagSeconds),
    ),
    gauge(
      `${prefix}_applied_bytes_per_second`,
      "WAL confirmed by the target, in bytes per second.",
      of(({ appliedBytesPerSecond }) => appliedBytesPerSecond),
    ),
    gauge(
      `${prefix}_slot_active`,
      "Whether a session reads the slot.",
      of(({ slot }) => flag(slot?.active)),
    ),
    gauge(
      `${prefix}_slot_retained_wal_bytes`,
      "WAL retained on the source by the slot.",
      of(({ slot }) => slot?.retainedBytes ?? null),
    ),
    gauge(
      `${prefix}_slot_safe_wal_bytes`,
      "WAL that can be written before the slot is in danger of being lost.",
      of(({ slot }) => slot?.safeWalBytes ?? null),
    ),
    gauge(
      `${prefix}_slot_seconds_until_lost`,
      "Time until the slot may be lost, at the current WAL rate.",
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
      "Initial table synchronization errors since statistics were reset.",
      of(({ subscription }) => subscription?.syncErrors ?? null),
    ),
    counter(
      `${prefix}_applied_transactions_total`,
      "Transactions of the source that the tool's own process has applied.",
      of(({ subscription }) => subscription?.client?.transactions ?? null),
    ),
    counter(
      `${prefix}_applied_changes_total`,
      "Changes that the tool's own process has applied.",
      of(({ subscription }) => subscription?.client?.changes ?? null),
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

function databaseMetrics({ databases }: StatusReport): StatusMetric[] {
  const labels = ({ source, target }: StatusReport["databases"][number]) => ({
    database: source ?? "",
    target_database: target ?? "",
  });
  return [
    gauge(
      "seren_drift_objects",
      "Tables and columns changed by DDL on one side only.",
      databases.map((each) => ({ labels: labels(each), value: each.drift?.length ?? null })),
    ),
    gauge(
      "seren_sequences_behind",
      "Sequences whose values differ on the target; they are set at cutover.",
      databases.map((each) => ({ labels: labels(each), value: each.sequences?.length ?? null })),
    ),
    gauge(
      "seren_cutover_phase",
      "Phase of the cutover: 1 for the current one, 0 for the others.",
      databases.flatMap((each) =>
        each.cutover == null ? [] : cutoverPhases.map((phase) => ({
          labels: { ...labels(each), phase },
          value: Number(phase === each.cutover?.phase),
        }))
      ),
    ),
    gauge(
      "seren_cutover_foreign_changes",
      "Changes on the closed side that replication did not bring.",
      databases.map((each) => ({
        labels: labels(each),
        value: each.cutover?.foreignChanges ?? null,
      })),
    ),
    gauge(
      "seren_cutover_kept_slot_bytes",
      "WAL on the target that the slot of the way back retains before the switch.",
      databases.map((each) => ({
        labels: labels(each),
        value: each.cutover?.keptSlot?.retainedBytes ?? null,
      })),
    ),
    gauge(
      "seren_cutover_refused_writes",
      "Writes that the fence of the closed side has refused since it was closed.",
      databases.map((each) => ({
        labels: labels(each),
        value: each.cutover?.refusedWrites ?? null,
      })),
    ),
  ];
}

function gauge(name: string, help: string, readings: readonly MetricReading[]): StatusMetric {
  return { name, type: "gauge", help, readings };
}

function counter(name: string, help: string, readings: readonly MetricReading[]): StatusMetric {
  return { name, type: "counter", help, readings };
}
