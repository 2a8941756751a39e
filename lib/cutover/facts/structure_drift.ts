/**
 * Differences in structure that a switch would run into. Only reads.
 *
 * @module
 */
import { tableKey } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import {
  backwardSides,
  compareShapes,
  forwardSides,
  readAppliers,
  readPublished,
  readShapes,
  readTypes,
} from "../../replication/internal.ts";

/** Differences in structure that lose changes or stop replication, in sentences. */
export async function readDrift(
  names: readonly string[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly string[]> {
  const published = (await readPublished(from)).filter(({ publication }) =>
    names.includes(publication)
  );
  const appliers = (await readAppliers(to)).filter(({ name }) => names.includes(name));
  const listed = new Set(published.map((table) => tableKey(table)));
  const drift = compareShapes({
    source: await readShapes(from),
    target: await readShapes(to),
    published,
    subscribed: appliers.flatMap(({ tables }) => tables),
    types: { source: await readTypes(from), target: await readTypes(to) },
    // tables that no stream lists are reported apart
    inScope: (table) => listed.has(tableKey(table)),
    isSkipped: () => false,
    sides: from.side === "source" ? forwardSides : backwardSides,
  });
  return drift.filter(({ severity }) => severity === "problem").map(({ message }) => message);
}
