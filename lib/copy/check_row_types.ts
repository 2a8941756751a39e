/**
 * Whether composite values stored in columns have the same layout on both servers.
 *
 * @module
 */
import { ExitCode, joinAll, ReplicatorError } from "../core/internal.ts";
import { differentlyOrdered, readStoredRowTypes } from "../catalog/internal.ts";
import type { Session } from "../postgres/internal.ts";

/**
 * Compares the row types of both servers before rows are copied.
 *
 * @throws ReplicatorError if one of them has its attributes in another order on the target: values
 * would end up in the wrong attributes
 */
export async function checkRowTypes(source: Session, target: Session): Promise<void> {
  const [onSource, onTarget] = await joinAll([
    readStoredRowTypes(source),
    readStoredRowTypes(target),
  ]);
  const differing = differentlyOrdered(onSource, onTarget);
  if (differing.length === 0) return;
  throw new ReplicatorError(
    "some columns store rows of tables whose column order differs on the target: their values would end up in the wrong attributes",
    {
      side: "target",
      object: `database ${target.endpoint.database}`,
      details: differing.map((name) => `Column order differs: ${name}`),
      remedy:
        "create these tables on the target with the source's column order, or exclude the tables that store their rows",
      exitCode: ExitCode.stepFailed,
    },
  );
}
