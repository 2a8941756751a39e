/**
 * Whether tests that take long and repeat what others show, on other versions or at other moments,
 * run too: `deno task test:long`.
 */
export const isLong: boolean = Deno.args.includes("--long");

/** The cases to test: `usual`, and with `--long` also `repeats`, which show the same once more. */
export function withRepeats<const A, const B = A>(
  usual: readonly A[],
  repeats: readonly B[],
): readonly (A | B)[] {
  return isLong ? [...usual, ...repeats] : usual;
}
