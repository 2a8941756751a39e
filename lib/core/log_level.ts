/** Log levels, from the least to the most verbose. */
export const logLevels = ["error", "warn", "info", "debug"] as const;
/** One of {@linkcode logLevels}. */
export type LogLevel = typeof logLevels[number];
