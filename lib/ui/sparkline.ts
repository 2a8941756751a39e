const levels = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/**
 * The latest values as a chart of at most `columns` characters, newest on the right. The maximum is
 * the tallest block, 0 the lowest; null is a gap.
 */
export function sparkline(values: readonly (number | null)[], columns: number): string {
  const shown = columns < 1 ? [] : values.slice(-columns);
  const highest = Math.max(...shown.map((value) => value ?? 0), 0);
  return shown.map((value) => {
    if (value === null || !Number.isFinite(value)) return " ";
    const level = highest <= 0 ? 0 : Math.ceil(Math.max(0, value) / highest * (levels.length - 1));
    return levels[level] ?? levels[0];
  }).join("");
}
