/**
 * Whether rows that are stored in columns mean the same on both servers.
 *
 * @module
 */
import { ExitCode, ReplicatorError } from "../core/internal.ts";
import { differentlyOrdered, readStoredRowTypes } from "../catalog/internal.ts";
import type { Session } from "../postgres/internal.ts";

/**
 * Looks at the row types of both sides before rows are copied.
 *
 * @throws ReplicatorError when one of them has its attributes in another order on the target:
 * values would arrive in wrong attributes
 */
export async function checkRowTypes(source: Session, target: Session): Promise<void> {
  const differing = differentlyOrdered(
    await readStoredRowTypes(source),
    await readStoredRowTypes(target),
  );
  if (differing.length === 0) return;
  throw new ReplicatorError(
    "columns store rows of tables whose columns stand in another order on the target: their values would arrive in wrong attributes",
    {
      side: "target",
      object: `database ${target.endpoint.database}`,
      details: differing.map((name) => `In another order: ${name}`),
      remedy:
        "make these tables on the target with their columns in the source's order, or exclude the tables that store their rows",
      exitCode: ExitCode.stepFailed,
    },
  );
}
