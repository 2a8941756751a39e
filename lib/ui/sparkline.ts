const levels = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/**
 * The last values as a small chart of at most `columns` characters, the newest at the right. The
 * highest value is the highest block, 0 the lowest; what is not known is a gap.
 */
export function sparkline(values: readonly (number | null)[], columns: number): string {
  const shown = columns < 1 ? [] : values.slice(-columns);
  const most = Math.max(...shown.map((value) => value ?? 0), 0);
  return shown.map((value) => {
    if (value === null || !Number.isFinite(value)) return " ";
    const level = most <= 0 ? 0 : Math.ceil(Math.max(0, value) / most * (levels.length - 1));
    return levels[level] ?? levels[0];
  }).join("");
}
