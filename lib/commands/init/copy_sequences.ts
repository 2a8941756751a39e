/**
 * The values of a database's sequences.
 *
 * @module
 */
import { displayName, type EventSink, tableKey } from "../../core/internal.ts";
import { listSequences, readSequenceValues, setvalStatements } from "../../catalog/internal.ts";
import { durableSettings, type Endpoint, openSessionWithRetry } from "../../postgres/internal.ts";

/** Whose sequences are copied. */
export interface CopySequencesOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/**
 * Sets the target's sequences to the source's values. Sequences are not transactional: read last,
 * they are never behind a copied row.
 *
 * @returns the number of sequences
 */
export async function copySequences(
  { source, target, signal, events }: CopySequencesOptions,
): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const list = async (endpoint: Endpoint) => {
    const session = stack.use(
      await openSessionWithRetry(endpoint, { signal, events, settings: durableSettings }),
    );
    return { session, sequences: await listSequences(session) };
  };
  // in parallel, because each takes round trips; if both fail, the first error is thrown
  const [{ session: from, sequences }, { session: to, sequences: onTarget }] = await Promise.all([
    list(source),
    list(target),
  ]);
  const existing = new Set(onTarget.map((sequence) => tableKey(sequence)));
  const values = await readSequenceValues(
    from,
    sequences.filter(({ schema, name, readable }) =>
      readable && existing.has(tableKey({ schema, name }))
    ),
  );
  for (const { schema, name } of sequences.filter(({ readable }) => !readable)) {
    events({
      kind: "warning",
      side: "source",
      object: `sequence ${displayName({ schema, name })}`,
      message: "its value was not copied: the role may not read it",
      remedy: "GRANT SELECT on it to the role of --source, then run setval() on the target",
    });
  }
  const statements = setvalStatements(values);
  for (let from = 0; from < statements.length; from += 1_000) {
    await to.execute(statements.slice(from, from + 1_000).join(";\n"));
  }
  return values.length;
}
