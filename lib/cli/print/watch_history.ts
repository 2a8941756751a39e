import type { StatusReport } from "../../commands/status/status.ts";
import type { WatchView } from "../../ui/mod.ts";
import { pairName, toneOf } from "./status_lines.ts";

const maxHistory = 200;

/** Recent lag of each stream, for its chart. */
export class WatchHistory {
  readonly #lags = new Map<string, readonly (number | null)[]>();

  /** Records a report. */
  note({ databases }: StatusReport): void {
    for (const { name, lagBytes } of databases.flatMap(({ streams }) => streams)) {
      this.#lags.set(name, [...(this.#lags.get(name) ?? []), lagBytes].slice(-maxHistory));
    }
  }

  /** The latest report as a view. */
  view(report: StatusReport, { hint }: { readonly hint: string }): WatchView {
    return {
      title: `${hostOf(report.source.url)} → ${hostOf(report.target.url)}`,
      time: report.at.slice(11, 19),
      walBytesPerSecond: report.wal?.bytesPerSecond ?? null,
      streams: report.databases.flatMap((database) =>
        database.streams.map((stream) => ({
          label: database.streams.length > 1
            ? `${pairName(database)} #${stream.epoch}`
            : pairName(database),
          state: stream.state,
          tone: toneOf(stream.state),
          lagBytes: stream.lagBytes,
          lagSeconds: stream.lagSeconds,
          appliedBytesPerSecond: stream.appliedBytesPerSecond,
          catchUpSeconds: stream.catchUpSeconds,
          history: this.#lags.get(stream.name) ?? [],
        }))
      ),
      findings: report.findings.map(({ severity, side, database, message, remedy }) => ({
        tone: severity === "problem" ? "bad" as const : "warn" as const,
        text: `${database ?? side}: ${message}`,
        remedy,
      })),
      hint,
    };
  }
}

/** `old.example.com:5432`: a URL without its user and database. */
function hostOf(url: string): string {
  return /@([^/]*)/.exec(url)?.[1] ?? url;
}
