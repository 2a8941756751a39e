const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;

/** A bar of exactly `columns` columns, filled to `fraction` (0 to 1). */
export function bar(fraction: number, columns: number): string {
  const clamped = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0));
  const steps = Math.floor(clamped * columns * 8);
  const full = Math.floor(steps / 8);
  const part = eighths[steps % 8] ?? "";
  return "█".repeat(full) + part + "░".repeat(columns - full - (part === "" ? 0 : 1));
}

/** `  7 %`; 100 only when complete. */
export function percent(fraction: number): string {
  const whole = fraction >= 1 ? 100 : Math.min(99, Math.floor(Math.max(0, fraction) * 100));
  return `${String(whole).padStart(3)} %`;
}
