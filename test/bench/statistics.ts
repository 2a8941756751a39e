/** The median; for an even count, the mean of the middle two; NaN for no numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1];
  const high = sorted[Math.floor(middle)];
  return low === undefined || high === undefined ? NaN : (low + high) / 2;
}

/** A median with its range. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Computes median, minimum and maximum. */
export function spread(numbers: readonly number[]): Spread {
  return {
    median: median(numbers),
    least: numbers.reduce((least, number) => Math.min(least, number), Infinity),
    most: numbers.reduce((most, number) => Math.max(most, number), -Infinity),
  };
}

/** The ratios of two series round by round, so that a slow round affects both. */
export function ratios(ours: readonly number[], theirs: readonly number[]): Spread {
  return spread(ours.flatMap((our, round) => {
    const their = theirs[round];
    return their === undefined || !(their > 0) ? [] : [our / their];
  }));
}
