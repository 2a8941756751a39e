/**
 * Applies the statements of a dump to the target.
 *
 * @module
 */
import { resetRoleStatement, type Session } from "../../postgres/internal.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import type { Adaptation } from "./adaptation.ts";
import type { ApplyOptions, StatementRecord } from "./apply_options.ts";
import { SchemaRun } from "./schema_run.ts";

const noRecord: StatementRecord = { statement: () => "", onRecorded: () => {} };

const batchCharacters = 256 * 1024;

/**
 * Runs the statements in order in one session, whose settings the dump's SET statements change.
 *
 * Each batch is sent as one Query message, which the server runs in an implicit transaction: a
 * refused batch leaves no trace and is run again statement by statement, to find out what to report
 * or adapt. No statement of a schema dump forbids a transaction block.
 *
 * Refused changes of ownership, privileges, comments and labels are reported. Changes of ownership
 * are retried at the end, because a role that is not a superuser can assign an object only to a
 * role with CREATE on its schema, and those privileges come last.
 *
 * Any other refused statement goes to `setAside`.
 *
 * @throws SchemaError when a statement is refused and there is no `setAside`, or when the refusal
 * does not concern that statement alone
 */
export async function applyStatements(
  session: Session,
  statements: readonly DumpStatement[],
  {
    onProgress,
    batchSize = 100,
    incomplete = false,
    record = noRecord,
    setAside,
    inTransaction = false,
    sourceMajor,
  }: ApplyOptions = {},
): Promise<readonly Adaptation[]> {
  const superuser = await isSuperuser(session);
  const target = {
    majorVersion: session.majorVersion,
    superuser,
    resetRole: resetRoleStatement(session.endpoint),
  };
  const run = new SchemaRun(session, target, {
    incomplete,
    record,
    setAside,
    sourceMajor,
    inTransaction,
  });
  let done = 0;
  for (const batch of batches(statements, batchSize)) {
    await run.batch(batch);
    done += batch.length;
    onProgress?.({ done, total: statements.length });
  }
  await run.finish();
  return run.adaptations;
}

const superusers = new WeakMap<Session, boolean>();

/**
 * Queried once per session: on a distant server each query costs as much as indexing a small table.
 */
async function isSuperuser(session: Session): Promise<boolean> {
  const known = superusers.get(session);
  if (known !== undefined) return known;
  const { superuser } = await session.queryOne<{ superuser: boolean }>(
    "SELECT rolsuper AS superuser FROM pg_catalog.pg_roles WHERE rolname = current_user",
  );
  superusers.set(session, superuser);
  return superuser;
}

function* batches(
  statements: readonly DumpStatement[],
  size: number,
): Generator<readonly DumpStatement[]> {
  let batch: DumpStatement[] = [];
  let characters = 0;
  let alone = false;
  for (const statement of statements) {
    // may take hours, which would be lost if another statement of the batch were refused
    const fills = statement.type === "MATERIALIZED VIEW DATA";
    const full = batch.length >= size || characters > batchCharacters || fills || alone;
    alone = fills;
    if (batch.length > 0 && full) {
      yield batch;
      batch = [];
      characters = 0;
    }
    batch.push(statement);
    characters += statement.sql.length;
  }
  if (batch.length > 0) yield batch;
}
