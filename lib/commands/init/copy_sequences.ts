/**
 * The values of a database's sequences.
 *
 * @module
 */
import { displayName, type EventSink, tableKey } from "../../core/internal.ts";
import { listSequences, readSequenceValues, setvalStatements } from "../../catalog/internal.ts";
import { durableSettings, type Endpoint, openSessionWithRetry } from "../../postgres/internal.ts";

/** From where to where, and who is told. */
export interface CopySequencesOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/**
 * Gives the target's sequences the source's values. They are under no snapshot: read last, they are
 * never behind a row that was copied.
 *
 * @returns how many there are
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
  // far away each session and question takes a while; when both fail the first failure is told
  const [{ session: from, sequences }, { session: to, sequences: onTarget }] = await Promise.all([
    list(source),
    list(target),
  ]);
  const there = new Set(onTarget.map((sequence) => tableKey(sequence)));
  const values = await readSequenceValues(
    from,
    sequences.filter(({ schema, name, readable }) =>
      readable && there.has(tableKey({ schema, name }))
    ),
  );
  for (const { schema, name } of sequences.filter(({ readable }) => !readable)) {
    events({
      kind: "warning",
      side: "source",
      object: `sequence ${displayName({ schema, name })}`,
      message: "its value may not be read and was not copied",
      remedy: "GRANT SELECT on it to the role of --source and run setval() on the target",
    });
  }
  const statements = setvalStatements(values);
  for (let from = 0; from < statements.length; from += 1_000) {
    await to.execute(statements.slice(from, from + 1_000).join(";\n"));
  }
  return values.length;
}
