import type { RunEvent } from "../core/internal.ts";
import type { ProgressDisplay } from "./live_progress.ts";

/** Log levels, from the least to the most verbose. */
export const logLevels = ["error", "warn", "info", "debug"] as const;
/** One of {@linkcode logLevels}. */
export type ShownLevel = typeof logLevels[number];

/** The level at which an event is logged. */
export function levelOf(event: RunEvent): ShownLevel {
  switch (event.kind) {
    case "warning":
    case "retry":
      return "warn";
    case "table-started":
    case "table-progress":
    case "step-progress":
      return "debug";
    default:
      return "info";
  }
}

/** Whether an event is logged at this level. */
export function isShown(event: RunEvent, level: ShownLevel): boolean {
  return logLevels.indexOf(levelOf(event)) <= logLevels.indexOf(level);
}

/**
 * One JSON object per line, for log collectors: `{"time":…,"level":…,"event":…}` and the event's
 * own fields.
 */
export function jsonLines({ writeLine, level, date }: {
  readonly writeLine: (line: string) => void;
  readonly level: ShownLevel;
  readonly date: () => Date;
}): ProgressDisplay {
  const write = (each: ShownLevel, event: string, fields: Readonly<Record<string, unknown>>) =>
    writeLine(JSON.stringify({ time: date().toISOString(), level: each, event, ...fields }));
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
