/** An aborted run did not stop; only exiting the process ends it. */
export class StuckRunError extends Error {
  override readonly name = "StuckRunError";
}

/**
 * Returns the outcome of a run, or throws its error.
 *
 * @throws StuckRunError if it does not stop within `graceMs` of being aborted
 */
export async function endInTime<Outcome>(
  running: Promise<Outcome>,
  { abort, graceMs }: { readonly abort: AbortSignal; readonly graceMs: number },
): Promise<Outcome> {
  const stuck = Promise.withResolvers<never>();
  stuck.promise.catch(() => {}); // raced below; may reject after the race
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    timer = setTimeout(
      () => stuck.reject(new StuckRunError("a run did not stop when it was aborted")),
      graceMs,
    );
  };
  abort.addEventListener("abort", wait, { once: true });
  if (abort.aborted) wait();
  try {
    return await Promise.race([running, stuck.promise]);
  } finally {
    abort.removeEventListener("abort", wait);
    clearTimeout(timer);
  }
}
