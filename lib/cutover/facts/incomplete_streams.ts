/**
 * Streams to the side that would be opened that nothing applies: a copy is running, was
 * interrupted, or waits for its `sync`. Only reads.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import {
  evaluateStream,
  parseReplicationName,
  readAppliers,
  readDatabaseRef,
  readPublications,
  readSlots,
  sameDatabaseRefs,
} from "../../replication/internal.ts";

/** A stream without what applies its changes. */
export interface IncompleteStream {
  /** Its published tables. */
  readonly tables: readonly TableName[];
  /** What is wrong, in one sentence. */
  readonly message: string;
  /** How it is completed. */
  readonly remedy: string | undefined;
}

/** Reads those between the two databases, under all rules. */
export async function readIncompleteStreams(
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly IncompleteStream[]> {
  const refs = { source: await readDatabaseRef(from), target: await readDatabaseRef(to) };
  const applied = new Set((await readAppliers(to)).map(({ name }) => name));
  const publications = (await readPublications(from)).filter(({ name, scopeComment }) =>
    scopeComment !== undefined && sameDatabaseRefs(refs, scopeComment) && !applied.has(name)
  );
  if (publications.length === 0) return [];
  const slots = await readSlots(from, publications.map(({ name }) => name));
  return publications.flatMap((publication) => {
    const { name, scopeComment, tables } = publication;
    const parsed = parseReplicationName(name);
    if (parsed === undefined) return [];
    const { message, remedy } = evaluateStream({
      ...{ name, epoch: parsed.epoch, publication, scopeComment },
      slot: slots.find((slot) => slot.name === name),
      applier: undefined,
    });
    return [{ tables, message, remedy }];
  });
}
