import { type LogLevel, logLevels, type RunEvent } from "../core/internal.ts";
import type { ProgressDisplay } from "./live_progress.ts";
import { printableJson } from "./text.ts";

/** The level at which an event is logged. */
function levelOf(event: RunEvent): LogLevel {
  switch (event.kind) {
    case "warning":
    case "retry":
      return "warn";
    case "table-started":
    case "table-progress":
    case "apply-progress":
    case "step-progress":
      return "debug";
    default:
      return "info";
  }
}

/** Whether an event is logged at this level. */
export function isShown(event: RunEvent, level: LogLevel): boolean {
  return logLevels.indexOf(levelOf(event)) <= logLevels.indexOf(level);
}

/**
 * One JSON object per line, for log collectors: `{"time":…,"level":…,"event":…}` and the event's
 * own fields.
 */
export function jsonLines({ writeLine, level, date }: {
  readonly writeLine: (line: string) => void;
  readonly level: LogLevel;
  readonly date: () => Date;
}): ProgressDisplay {
  const write = (each: LogLevel, event: string, fields: Readonly<Record<string, unknown>>) =>
    writeLine(printableJson({ time: date().toISOString(), level: each, event, ...fields }));
  return {
    take(event) {
      if (!isShown(event, level)) return;
      const { kind, ...fields } = event;
      write(levelOf(event), kind, fields);
    },
    print(line) {
      write("info", "message", { message: line });
    },
    pause() {},
    [Symbol.dispose]() {},
  };
}
