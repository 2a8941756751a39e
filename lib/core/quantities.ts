/**
 * Formats and parses sizes, counts and durations.
 *
 * @module
 */

/** A megabyte, as PostgreSQL counts: 1024 * 1024 bytes. */
export const megabyte: number = 1 << 20;

const units = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Formats bytes as PostgreSQL does (1 kB = 1024 B): `1.5 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** Reads `512MB`, `1 GB`, `10737418240` as bytes; undefined when it is not a size. */
export function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(?:(B|[kMGTP]i?B?)\s*)?$/i.exec(text);
  if (match === null) return undefined;
  const letter = (match[2] ?? "B").charAt(0).toUpperCase();
  const power = "BKMGTP".indexOf(letter);
  return Math.round(Number(match[1]) * 1024 ** power);
}

/** Formats a count: `12,345`. */
export function formatCount(count: number): string {
  return Math.round(count).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** Formats a duration: `850 ms`, `12.3 s`, `4 min 05 s`, `3 h 20 min`, `2 d 04 h`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${two((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${two((whole % 86_400) / 3600)} h`;
}

/** A count with its noun: `1 table`, `3 tables`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

const millisecondsPer: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Reads `30s`, `10 min`, `2h` as milliseconds; a bare number means seconds. Undefined when it is
 * not a duration.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?\s*$/.exec(text);
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * (millisecondsPer[match[2] ?? "s"] ?? 1));
}

/** The sum of some numbers. */
export function addUp(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
