/**
 * The limits of a service's API keys.
 *
 * @module
 */

/** What the limits of an API key may be, and what they are unless they are given. */
export const keyLimits = {
  requestsPerSecond: { min: 0.01, max: 10_000, default: 20 },
  requestBurst: { min: 1, max: 100_000, default: 60 },
  maxRunning: { min: 1, max: 10_000, default: 4 },
  maxQueued: { min: 1, max: 1_000_000, default: 200 },
  jobsPerDay: { min: 1, max: 10_000_000, default: 5_000 },
} as const;
