/**
 * Removes options that the target does not support from a statement.
 *
 * The server reports one unknown option at a time, and only in its message text, so they are found
 * by trial.
 *
 * @module
 */
import { type Session, SqlState } from "../../postgres/internal.ts";
import { isRefusal } from "./adaptation.ts";
import { type StatementOption, statementOptions, withoutOptions } from "../parse/option_list.ts";

/** A statement without its unknown options. */
export interface KnownOptions {
  /** Undefined when nothing is left to do. */
  readonly sql: string | undefined;
  /** The options that the target refused. */
  readonly dropped: readonly string[];
}

/**
 * Without these, a view could expose rows to roles that must not see them, so it is not created.
 */
const neverDropped = new Set(["security_invoker", "security_barrier", "check_option"]);

/** HV00D: fdw_invalid_option_name */
const refusesOptions: ReadonlySet<string> = new Set([SqlState.invalidParameterValue, "HV00D"]);

/**
 * Finds the options of a refused statement that the target does not support; undefined when the
 * statement was not refused because of them. Trials are rolled back.
 */
export async function keepKnownOptions(
  session: Session,
  sql: string,
  { sqlState, inTransaction, toScript }: {
    readonly sqlState: string;
    /**
     * Completes a statement to a script, so that trials run under the same settings.
     */
    readonly toScript: (sql: string) => string;
    /** Whether the session is in a transaction of the caller, which must stay usable. */
    readonly inTransaction: boolean;
  },
): Promise<KnownOptions | undefined> {
  if (!refusesOptions.has(sqlState)) return undefined;
  const droppable = statementOptions(sql).filter(({ name }) => !neverDropped.has(name));
  if (droppable.length === 0) return undefined;
  const isAccepted = (without: string | undefined) =>
    accepts(
      session,
      without === undefined ? undefined : toScript(without),
      inTransaction ? savepoint : ownTransaction,
    );
  return buildsIndex.test(sql)
    ? await smallestDrop(sql, droppable, isAccepted)
    : await oneByOne(sql, droppable, isAccepted);
}

/** Whether a statement is accepted; undefined means that nothing is left of it. */
type TryStatement = (sql: string | undefined) => Promise<boolean>;

const buildsIndex = /^(?:CREATE (?:UNIQUE )?INDEX|ALTER TABLE .* ADD CONSTRAINT)\s/s;

/** Drops all options first, then adds each one back if it is accepted. */
async function oneByOne(
  sql: string,
  droppable: readonly StatementOption[],
  isAccepted: TryStatement,
): Promise<KnownOptions | undefined> {
  if (!await isAccepted(withoutOptions(sql, droppable))) return undefined;
  const dropped = [...droppable];
  for (const option of droppable) {
    const others = dropped.filter((other) => other !== option);
    if (await isAccepted(withoutOptions(sql, others))) {
      dropped.splice(0, dropped.length, ...others);
    }
  }
  return dropped.length === 0 ? undefined : outcome(sql, dropped);
}

/**
 * For indexes a refusal is immediate, but an accepted trial builds the index. So the smallest sets
 * of options are dropped first, and the first accepted one is taken.
 */
async function smallestDrop(
  sql: string,
  droppable: readonly StatementOption[],
  isAccepted: TryStatement,
): Promise<KnownOptions | undefined> {
  for (let count = 1; count <= droppable.length; count++) {
    for (const dropped of subsets(droppable, count)) {
      if (await isAccepted(withoutOptions(sql, dropped))) return outcome(sql, dropped);
    }
  }
  return undefined;
}

function outcome(sql: string, dropped: readonly StatementOption[]): KnownOptions {
  return { sql: withoutOptions(sql, dropped), dropped: dropped.map(({ name }) => name) };
}

function* subsets<Item>(items: readonly Item[], count: number): Generator<readonly Item[]> {
  if (count === 0) {
    yield [];
    return;
  }
  for (const [index, item] of items.entries()) {
    for (const rest of subsets(items.slice(index + 1), count - 1)) yield [item, ...rest];
  }
}

/** Begins a trial and rolls it back. */
interface TrialScope {
  readonly begin: string;
  readonly end: string;
}

const ownTransaction: TrialScope = { begin: "BEGIN", end: "ROLLBACK" };
const savepoint: TrialScope = {
  begin: "SAVEPOINT seren_trial",
  end: "ROLLBACK TO SAVEPOINT seren_trial; RELEASE SAVEPOINT seren_trial",
};

/** Whether the target accepts the statement, which is rolled back. */
async function accepts(
  session: Session,
  sql: string | undefined,
  { begin, end }: TrialScope,
): Promise<boolean> {
  if (sql === undefined) return true;
  await session.execute(begin);
  try {
    await session.execute(sql);
    return true;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  } finally {
    await session.execute(end);
  }
}
