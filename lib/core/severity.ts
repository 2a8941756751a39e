/** How serious a finding is: a problem must be solved, a warning should be known. */
export const severities = ["problem", "warning"] as const;

/** One of {@linkcode severities}. */
export type Severity = typeof severities[number];
