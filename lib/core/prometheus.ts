/**
 * Writes metrics in the Prometheus text format. Pure.
 *
 * Source: Prometheus documentation, "Exposition formats", text-based format 0.0.4.
 *
 * @module
 */

/** A metric with its samples. */
export interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter" | "histogram";
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

/** A value and its labels. */
export interface MetricSample {
  /** For histograms: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The content type of {@linkcode printMetrics}. */
export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

/** The metrics as text; HELP and TYPE are written even for a metric without samples. */
export function printMetrics(metrics: readonly Metric[]): string {
  return metrics.map(printMetric).join("");
}

function printMetric({ name, type, help, samples }: Metric): string {
  const lines = samples.map(({ suffix = "", labels, value }) =>
    `${name}${suffix}${printLabels(labels)} ${value}`
  );
  return [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

function printLabels(labels: MetricSample["labels"]): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
