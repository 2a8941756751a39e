import {
  describeRetry,
  formatBytes,
  formatDuration,
  plural,
  type RunEvent,
  stepTitle,
} from "../../core/internal.ts";
import type { NewLogLine } from "../store/mod.ts";

/** Formats an event as a log line; undefined for events that would only be noise. */
export function logLineOf(event: RunEvent): NewLogLine | undefined {
  switch (event.kind) {
    case "step-started":
      return { level: "info", message: `${nameOf(event)} …` };
    case "step-finished":
      return {
        level: "info",
        message:
          `${nameOf(event)}: ${event.failed ? "failed after" : "done in"} ${
            formatDuration(event.ms)
          }` +
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
        message: `${event.database}: copied ${event.table}, ${plural(event.rows, "row")}, ${
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
    case "cutover-pause":
      return event.isOver
        ? {
          level: "info",
          message: `writers waited ${formatDuration(event.pauseMs)} of ${
            formatDuration(event.maxPauseMs)
          } allowed`,
        }
        : undefined;
    case "info":
      return {
        level: "info",
        message: event.message + (event.remedy === undefined ? "" : ` → ${event.remedy}`),
      };
    default:
      return undefined;
  }
}

/** The step and its database, as on the terminal: `Copy rows (app)`. */
function nameOf({ step, database }: Pick<StepEvent, "step" | "database">): string {
  return stepTitle(step) + (database === undefined ? "" : ` (${database})`);
}

type StepEvent = Extract<RunEvent, { readonly kind: "step-started" | "step-finished" }>;
