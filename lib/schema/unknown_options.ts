/**
 * A statement with those of its options that the target knows.
 *
 * The server names one unknown option at a time, and only in its message; which ones they are is
 * found by trying.
 *
 * @module
 */
import { type Session, SqlState } from "../postgres/internal.ts";
import { isRefusal } from "./adaptation.ts";
import { type StatementOption, statementOptions, withoutOptions } from "./option_list.ts";

/** What is left of a statement. */
export interface KnownOptions {
  /** Undefined when nothing is left to do. */
  readonly sql: string | undefined;
  /** The options that the target refused. */
  readonly dropped: readonly string[];
}

/**
 * Without these a view shows rows to roles that must not see them: better no view than that one.
 */
const neverDropped = new Set(["security_invoker", "security_barrier", "check_option"]);

/** HV00D: a foreign-data wrapper has no such option. */
const refusesOptions: ReadonlySet<string> = new Set([SqlState.invalidParameterValue, "HV00D"]);

/**
 * Finds the options of a refused statement that the target does not know; undefined when it is not
 * refused because of them. Nothing is left of what is tried.
 */
export async function keepKnownOptions(
  session: Session,
  sql: string,
  { sqlState, inTransaction, toScript }: {
    readonly sqlState: string;
    /**
     * The script that runs a statement: what is tried runs under the settings that it is to be made
     * under.
     */
    readonly toScript: (sql: string) => string;
    /** Whether the session is in a transaction of the caller's, which goes on. */
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
      inTransaction ? withinTransaction : alone,
    );
  return buildsIndex.test(sql)
    ? await smallestDrop(sql, droppable, isAccepted)
    : await oneByOne(sql, droppable, isAccepted);
}

/** Whether a statement, undefined when nothing is left of it, is accepted. */
type Attempt = (sql: string | undefined) => Promise<boolean>;

const buildsIndex = /^(?:CREATE (?:UNIQUE )?INDEX|ALTER TABLE .* ADD CONSTRAINT)\s/s;

/** First without any of them, then each is added and stays where it is accepted. */
async function oneByOne(
  sql: string,
  droppable: readonly StatementOption[],
  isAccepted: Attempt,
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
 * What an index is refused for, it is refused for at once; what is accepted builds it. So the
 * fewest options are dropped first, and the first set that is accepted is the one.
 */
async function smallestDrop(
  sql: string,
  droppable: readonly StatementOption[],
  isAccepted: Attempt,
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

/** What a trial is enclosed in. */
interface Enclosure {
  readonly begin: string;
  readonly end: string;
}

const alone: Enclosure = { begin: "BEGIN", end: "ROLLBACK" };
const withinTransaction: Enclosure = {
  begin: "SAVEPOINT seren_trial",
  end: "ROLLBACK TO SAVEPOINT seren_trial; RELEASE SAVEPOINT seren_trial",
};

/** Whether the target takes the statement; it is rolled back. */
async function accepts(
  session: Session,
  sql: string | undefined,
  { begin, end }: Enclosure,
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
