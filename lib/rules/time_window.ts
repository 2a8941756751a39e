/**
 * Time windows that end at a given time: `6 months`. Pure.
 *
 * @module
 */
import { plural, quoteIdentifier, suggest } from "../core/internal.ts";
import type { Reading } from "./name_pattern.ts";

/** Length of a window in calendar months and seconds, like an interval. */
export interface TimeWindow {
  /** Calendar months, years included; 0 for windows in smaller units. */
  readonly months: number;
  /** Seconds; a day has 86,400. 0 for windows in months or years. */
  readonly seconds: number;
}

/** The units of a window. */
const windowUnits = [
  "second",
  "minute",
  "hour",
  "day",
  "week",
  "month",
  "year",
] as const;

const sizes: Readonly<Record<typeof windowUnits[number], TimeWindow>> = {
  second: { months: 0, seconds: 1 },
  minute: { months: 0, seconds: 60 },
  hour: { months: 0, seconds: 3_600 },
  day: { months: 0, seconds: 86_400 },
  week: { months: 0, seconds: 604_800 },
  month: { months: 1, seconds: 0 },
  year: { months: 12, seconds: 0 },
};

/** Parses `6 months`, `1 year`, `90 days`. Days have 24 hours: times are in UTC. */
export function readTimeWindow(text: string): Reading<TimeWindow> {
  const match = /^\s*([+-]?[\d.]+)\s*([a-z]*)\s*$/i.exec(text);
  if (match === null) {
    return { problem: `"${text}" is not a valid time window: write it like "6 months"` };
  }
  const [, number = "", unitName = ""] = match;
  if (number.startsWith("-")) {
    return {
      problem: `"${text}" is negative: a window always extends back in time, so write "${
        text.trim().slice(1).trim()
      }"`,
    };
  }
  const singular = unitName.toLowerCase().replace(/s$/, "");
  const unit = windowUnits.find((each) => each === singular);
  if (unit === undefined) {
    const [near] = suggest(singular, windowUnits, 1);
    return {
      problem: (unitName === "" ? `"${text}" has no unit` : `"${unitName}" is not a unit of time`) +
        (near === undefined
          ? `: use one of ${windowUnits.join(", ")}`
          : `; did you mean ${near}s?`),
    };
  }
  const count = /^\+?\d+$/.test(number) ? Number(number) : NaN;
  if (!Number.isSafeInteger(count)) return { problem: `"${number}" is not an integer` };
  if (count === 0) return { problem: `"${text}" is an empty window, which contains no rows` };
  const size = sizes[unit];
  const window = { months: size.months * count, seconds: size.seconds * count };
  if (window.months > 12_000 || window.seconds > 31_557_600_000) {
    return { problem: `"${text}" is longer than 1000 years; omit the rule to copy all rows` };
  }
  return { value: window };
}

/** A window for messages: `6 months`, `90 days`. */
export function printTimeWindow({ months, seconds }: TimeWindow): string {
  const unit = [...windowUnits].reverse().find((each) => {
    const size = sizes[each];
    return months > 0
      ? size.months > 0 && months % size.months === 0
      : size.seconds > 0 && seconds % size.seconds === 0;
  }) ?? "second";
  const size = sizes[unit];
  const count = months > 0 ? months / size.months : seconds / size.seconds;
  return `${count} ${plural(count, unit).split(" ").at(-1)}`;
}

/**
 * The start of a window as a literal for any date or timestamp type: `2025-06-30 12:00:00+00`. As
 * in PostgreSQL, a month before the 31st is the last day of a shorter month.
 *
 * @param now the end of the window
 */
export function cutOff({ months, seconds }: TimeWindow, now: Date): string {
  const start = new Date(now);
  const day = start.getUTCDate();
  start.setUTCDate(1);
  start.setUTCMonth(start.getUTCMonth() - months);
  const lastDay = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 0));
  start.setUTCDate(Math.min(day, lastDay.getUTCDate()));
  start.setTime(start.getTime() - seconds * 1_000);
  return start.toISOString().replace("T", " ").replace(/\.000Z$/, "Z").replace("Z", "+00");
}

/**
 * The predicate of a window. The untyped literal takes the column's type, so that the comparison is
 * immutable for `timestamp` and `timestamptz`, as publications require.
 */
export function windowPredicate(column: string, literal: string): string {
  return `${quoteIdentifier(column)} >= '${literal}'`;
}
