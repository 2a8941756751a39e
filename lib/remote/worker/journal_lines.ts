import {
  describeRetry,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  type RunEvent,
} from "../../core/internal.ts";
import type { NewLogLine } from "../store/mod.ts";

/** Formats an event as a log line; undefined for events that would only be noise. */
export function logLineOf(event: RunEvent): NewLogLine | undefined {
  const of = (database: string | undefined) => database === undefined ? "" : ` of ${database}`;
  switch (event.kind) {
    case "step-started":
      return { level: "info", message: `${event.step}${of(event.database)}: started` };
    case "step-finished":
      return {
        level: "info",
        message: `${event.step}${of(event.database)}: done in ${formatDuration(event.ms)}` +
          (event.summary === undefined ? "" : `, ${event.summary}`),
      };
    case "database-planned":
      return {
        level: "info",
        message: `${event.database}: ${plural(event.tables, "table")}, ${formatBytes(event.bytes)}`,
      };
    case "table-finished":
      return {
        level: "info",
        message: `${event.database}: ${event.table}: ${formatCount(event.rows)} rows, ${
          formatBytes(event.bytes)
        } in ${formatDuration(event.ms)}`,
      };
    case "warning": {
      const where = [event.side, event.object].filter((part) => part !== undefined).join(", ");
      return {
        level: "warn",
        message: (where === "" ? "" : `${where}: `) + event.message +
          (event.remedy === undefined ? "" : ` → ${event.remedy}`),
      };
    }
    case "retry":
      return {
        level: "warn",
        message: `${describeRetry(event)}; retrying in ${formatDuration(event.delayMs)}`,
      };
    case "governor":
      return { level: "info", message: `${event.database}: ${event.message}` };
    case "info":
      return { level: "info", message: event.message };
    default:
      return undefined;
  }
}
