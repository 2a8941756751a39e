/**
 * The time of day, which a caller may replace. Durations are measured with `performance.now()`.
 *
 * @module
 */

/** The system's clock. */
export function systemClock(): Date {
  return new Date();
}
