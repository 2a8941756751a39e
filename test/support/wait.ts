/** Longest wait for something that normally takes seconds, in ms. */
const LIMIT_MS = 120_000;

/**
 * Resolves once `condition` holds; asks again every few ms. A test whose condition never comes true
 * fails here instead of running forever.
 *
 * @param what What is awaited, for the error.
 * @param during What runs meanwhile: if it ends first, the condition can no longer come true.
 */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  { during }: { readonly during?: Promise<unknown> } = {},
): Promise<void> {
  let ended: string | undefined;
  during?.then(() => ended = "ended", (error) => ended = `failed: ${error}`);
  const deadline = performance.now() + LIMIT_MS;
  while (!await condition()) {
    if (ended !== undefined) throw new Error(`not before its operation ${ended}: ${what}`);
    if (performance.now() > deadline) throw new Error(`not within ${LIMIT_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
