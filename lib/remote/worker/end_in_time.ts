/** A run was told to end and did not: only the end of the process ends it. */
export class StuckRunError extends Error {
  override readonly name = "StuckRunError";
}

/**
 * The outcome of a run, or its error; or a StuckRunError when it goes on after it was told to end.
 */
export async function endInTime<Outcome>(
  running: Promise<Outcome>,
  { abort, graceMs }: { readonly abort: AbortSignal; readonly graceMs: number },
): Promise<Outcome> {
  const stuck = Promise.withResolvers<never>();
  stuck.promise.catch(() => {}); // raced below; may come when nobody waits any more
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    timer = setTimeout(
      () => stuck.reject(new StuckRunError("a run did not end when it was told to")),
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
