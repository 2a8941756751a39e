/**
 * Windows of time that reach back from one moment: `6 months`.
 *
 * @module
 */
import { plural, quoteIdentifier, suggest } from "../core/internal.ts";
import type { Reading } from "./name_pattern.ts";

/** How far a window reaches back: calendar months and seconds, as an interval has them. */
export interface TimeWindow {
  readonly months: number;
  readonly seconds: number;
}

/** The units a window may be given in. */
export const windowUnits = [
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

/** Reads `6 months`, `1 year`, `90 days`. Days have 24 hours: all is reckoned in UTC. */
export function readTimeWindow(text: string): Reading<TimeWindow> {
  const match = /^\s*([+-]?[\d.]+)\s*([a-z]*)\s*$/i.exec(text);
  if (match === null) return { problem: `"${text}" is no time window: write it like "6 months"` };
  const [, number = "", word = ""] = match;
  if (number.startsWith("-")) {
    return {
      problem: `"${text}" is negative: a window reaches back, so "${
        text.trim().slice(1).trim()
      }" it is`,
    };
  }
  const singular = word.toLowerCase().replace(/s$/, "");
  const unit = windowUnits.find((each) => each === singular);
  if (unit === undefined) {
    const [near] = suggest(singular, windowUnits, 1);
    return {
      problem: (word === "" ? `"${text}" has no unit` : `"${word}" is no unit of time`) +
        (near === undefined ? `: there are ${windowUnits.join(", ")}` : `; did you mean ${near}s?`),
    };
  }
  const count = /^\+?\d+$/.test(number) ? Number(number) : NaN;
  if (!Number.isSafeInteger(count)) return { problem: `"${number}" is not a whole number` };
  if (count === 0) return { problem: `"${text}" is an empty window: no row would be in it` };
  const size = sizes[unit];
  const window = { months: size.months * count, seconds: size.seconds * count };
  if (window.months > 12_000 || window.seconds > 31_557_600_000) {
    return { problem: `"${text}" is longer than 1000 years; leave the rule out to copy all rows` };
  }
  return { value: window };
}

/** A window for people: `6 months`, `90 days`. */
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
 * The moment at which a window begins, as a literal that every date and timestamp type takes:
 * `2025-06-30 12:00:00+00`. A month back from its 31st is the last day of a shorter month, as in
 * PostgreSQL.
 *
 * @param now the moment that the window reaches back from
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
 * The predicate of a window. The literal has no type of its own: it becomes the column's, so that
 * the comparison is immutable for `timestamp` as for `timestamptz`, which a publication asks for.
 */
export function windowPredicate(column: string, literal: string): string {
  return `${quoteIdentifier(column)} >= '${literal}'`;
}
