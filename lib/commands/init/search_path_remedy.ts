import { displayName, ReplicatorError } from "../../core/internal.ts";
import { readSearchPathUse, type SearchPathUse } from "../../catalog/internal.ts";
import { type Endpoint, openSession, ServerError } from "../../postgres/internal.ts";
import { missingStates } from "../../schema/internal.ts";

/** Where the cause of an error is looked up. */
export interface SearchPathRemedyOptions {
  readonly source: Endpoint;
  /** Whether values are already computed under the database's own path. */
  readonly ownPath: boolean;
  readonly signal: AbortSignal;
}

/**
 * Adds to an error of rows that could not be copied the function that depends on a `search_path`,
 * and the statement that fixes it. Other errors are returned unchanged.
 */
export async function explainSearchPath(
  error: unknown,
  { source, ownPath, signal }: SearchPathRemedyOptions,
): Promise<unknown> {
  if (
    signal.aborted || !(error instanceof ServerError) || error.side !== "target" ||
    !missingStates.has(error.sqlState)
  ) return error;
  try {
    await using session = await openSession(source, { signal });
    const uses = (await readSearchPathUse(session)).filter(({ kind, routine }) =>
      routine !== undefined &&
      (kind === "check constraint" || kind === "generated column" || kind === "partition key")
    );
    const own = uses.filter(({ table }) =>
      table !== undefined && error.object?.includes(displayName(table))
    );
    const found = own.length > 0 ? own : uses;
    return found.length === 0 ? error : withRemedy(error, found, { ownPath });
  } catch {
    return error; // report the error without an explanation
  }
}

function withRemedy(
  error: ServerError,
  uses: readonly SearchPathUse[],
  { ownPath }: { readonly ownPath: boolean },
): ReplicatorError {
  const alters = [...new Set(uses.flatMap(({ routine }) => routine?.alter ?? []))];
  return new ReplicatorError(error.message, {
    side: error.side,
    object: error.object,
    details: [
      ...error.details,
      ...uses.slice(0, 5).map(({ kind, object, routine, names }) =>
        `${kind} ${object} calls ${routine?.signature}, which names ${
          names.map(({ name }) => name).join(", ")
        } without a schema; the copy computes values under ${
          ownPath
            ? "the target database's search_path"
            : "an empty search_path, as pg_dump and psql do"
        }`
      ),
    ],
    remedy: `run on the source: ${alters.join(" ")} and start over with --no-resume` +
      (ownPath ? "" : "; or use --restore-search-path own"),
    exitCode: error.exitCode,
    cause: error,
  });
}
