/**
 * Explains why a change cannot be applied: the change, its row on both sides, and what to do.
 *
 * @module
 */
import {
  displayName,
  errorMessage,
  ExitCode,
  formatLsn,
  isTransient,
  type Lsn,
  quoteIdentifier,
  quoteQualified,
  redact,
  ReplicatorError,
} from "../core/internal.ts";
import {
  type ColumnValue,
  ServerError,
  type ServerMessage,
  type Session,
  SqlState,
  type Tuple,
} from "../postgres/internal.ts";
import { type ApplyError, applyErrorRemedy } from "../replication/internal.ts";
import type { CollectedChange } from "./collect.ts";
import type { Step } from "./statements.ts";
import type { TableMapping } from "./table_mapping.ts";

/** What an answer is compared with. */
export interface SentStep extends Pick<Step, "object" | "rows" | "change"> {
  /** See {@linkcode Step}. */
  readonly otherwise?: string | undefined;
  /** The statement, if it has no values. */
  readonly statement: string | undefined;
}

/** A statement that failed, or affected another number of rows than expected. */
export interface StepFailure {
  readonly step: SentStep;
  /** The server's error; undefined if another number of rows was affected. */
  readonly message: ServerMessage | undefined;
  /** The command tag: `UPDATE 0`. */
  readonly tag: string | undefined;
  /** The commit of its transaction. */
  readonly commitLsn: Lsn;
}

/** A change that cannot be applied. The stream stays stopped until `--retry` or `--skip-lsn`. */
export class ChangeRefusedError extends ReplicatorError {
  override readonly name = "ChangeRefusedError";
  /** For the record of the stream. */
  readonly recorded: ApplyError;
  /** `insert_exists`, `update_missing`, `delete_missing`; undefined for any other reason. */
  readonly conflict: string | undefined;

  constructor(
    recorded: ApplyError,
    conflict: string | undefined,
    { side = "target" }: { readonly side?: "source" | "target" } = {},
  ) {
    const { message, table, details = [] } = recorded;
    super(message, {
      side,
      object: table === undefined ? undefined : `table ${displayName(table)}`,
      details,
      remedy: applyErrorRemedy(recorded),
      exitCode: ExitCode.unhealthy,
    });
    this.recorded = recorded;
    this.conflict = conflict;
  }
}

/** Whether the same statement may succeed a moment later. */
export function isTransientRefusal({ message, step }: StepFailure, session: Session): boolean {
  return message !== undefined &&
    mayPass(new ServerError(message, { side: session.side, object: step.object }));
}

/**
 * Whether an error is not caused by a change: besides lost connections and conflicts between
 * sessions, a lack of resources (class 53), an intervention by an operator (57), an error of the
 * system (58), and a server that accepts no writes at the moment, as after a failover.
 */
export function mayPass(error: unknown): boolean {
  return isTransient(error) ||
    error instanceof ServerError && (/^5[378]/.test(error.sqlState) ||
        error.sqlState === SqlState.readOnlyTransaction);
}

const missing: Readonly<Record<string, string>> = {
  update: "update_missing",
  delete: "delete_missing",
};

/** @param session another session than that of the applier; reads the row on the target */
export async function explainRefusal(
  session: Session,
  { step, message, tag, commitLsn }: StepFailure,
): Promise<ChangeRefusedError> {
  const { change } = step;
  const base = { finishLsn: formatLsn(commitLsn), at: new Date().toISOString() };
  if (change === undefined) {
    return new ChangeRefusedError({
      ...base,
      message: `${step.object}: ${
        message === undefined
          ? step.otherwise ?? `the server answered ${tag}`
          : redact(message.message)
      }`,
      ...(message === undefined ? {} : { sqlState: message.sqlState }),
      details: detailsOf(message),
    }, undefined);
  }
  const { mapping, kind } = change;
  const { schema, name } = mapping.table;
  const { otherwise } = step;
  const isMissing = message === undefined && otherwise === undefined && missing[kind] !== undefined;
  const conflict = isMissing
    ? missing[kind]
    : message?.sqlState === SqlState.uniqueViolation && kind === "insert"
    ? "insert_exists"
    : undefined;
  return new ChangeRefusedError({
    ...base,
    message: message === undefined
      ? otherwise !== undefined
        ? `${kind}: ${otherwise}`
        : `${kind}: ${
          tag === undefined ? "no answer" : rowsOf(tag)
        } on the target, but exactly one was expected`
      : `${kind}: ${redact(message.message)}`,
    ...(message === undefined ? {} : { sqlState: message.sqlState }),
    table: { schema, name },
    operation: kind,
    key: keyValues(change),
    details: [
      ...detailsOf(message),
      ...(kind === "delete" ? [] : [`on the source: ${printRow(mapping, change.row)}`]),
      ...(kind === "insert" || kind === "update" && change.before === change.row
        ? [] // without a new identity, the old row is not sent
        : [`before, on the source: ${printRow(mapping, change.before)}`]),
      ...await describeTargetRow(session, change),
    ],
  }, conflict);
}

function rowsOf(tag: string): string {
  const count = Number(tag.split(" ").at(-1));
  return count === 1 ? "1 row matches" : `${count === 0 ? "no" : count} rows match`;
}

function detailsOf(message: ServerMessage | undefined): readonly string[] {
  return message?.detail === undefined ? [] : [redact(message.detail)];
}

const decoder = new TextDecoder();
const maxCharacters = 80;

function shorten(text: string): string {
  return text.length <= maxCharacters * 4 ? text : `${text.slice(0, maxCharacters * 4)}…`;
}

function printValue(value: ColumnValue): string | null {
  if (value === null) return null;
  if (value === undefined) return "(unchanged)";
  const text = decoder.decode(value.subarray(0, 4 * maxCharacters));
  return text.length > maxCharacters || value.length > 4 * maxCharacters
    ? `${text.slice(0, maxCharacters)}…`
    : text;
}

function printRow({ columns }: TableMapping, row: Tuple): string {
  const sent = row.values();
  const values = columns.flatMap(({ name }, at) =>
    sent[at] === null ? [] : [`${name} = ${printValue(sent[at])}`]
  );
  return shorten(values.join(", "));
}

function keyValues(change: CollectedChange): Readonly<Record<string, string | null>> {
  const { mapping } = change;
  const row = change.kind === "insert" ? change.row : change.before;
  return Object.fromEntries(
    (mapping.keyColumns ?? []).map((
      position,
    ) => [mapping.columns[position]?.name ?? "", printValue(row.value(position))]),
  );
}

/** The row with the change's key on the target; a table without a key is not searched. */
async function describeTargetRow(
  session: Session,
  change: CollectedChange,
): Promise<readonly string[]> {
  const { keyColumns } = change.mapping;
  if (keyColumns === undefined) return [];
  try {
    const found = await readRow(session, { change, keyColumns });
    return [
      found === undefined ? "on the target: no such row" : `on the target: ${shorten(found)}`,
    ];
  } catch (error) {
    return [`on the target: the row could not be read: ${errorMessage(error)}`];
  }
}

/** As the server prints it. */
async function readRow(
  session: Session,
  { change, keyColumns }: {
    readonly change: CollectedChange;
    readonly keyColumns: readonly number[];
  },
): Promise<string | undefined> {
  const { mapping } = change;
  const row = change.kind === "insert" ? change.row : change.before;
  const values: string[] = [];
  const conditions = keyColumns.map((position) => {
    values.push(decoder.decode(row.value(position) ?? new Uint8Array()));
    return `pg_catalog.format('%s', r.${
      quoteIdentifier(mapping.columns[position]?.name ?? "")
    }) = $${values.length}`;
  });
  const [found] = await session.query<{ readonly printed: string }>(
    `SELECT pg_catalog.left(pg_catalog.format('%s', ROW(r.*)), 1000) AS printed FROM ${
      quoteQualified(mapping.table.schema, mapping.table.name)
    } AS r WHERE ${conditions.join(" AND ")} LIMIT 1`,
    values,
  );
  return found?.printed;
}

/** A change that the tables of the target cannot take. */
export function refusedBy(error: ReplicatorError, commitLsn: Lsn): ChangeRefusedError {
  return new ChangeRefusedError({
    message: [error.object, error.message].filter((part) => part !== undefined).join(": "),
    details: [...error.details, ...(error.remedy === undefined ? [] : [error.remedy])],
    finishLsn: formatLsn(commitLsn),
    at: new Date().toISOString(),
  }, undefined);
}

/**
 * A source that does not have what has been applied. Recorded, because later it looks like any
 * other.
 */
export function refusedStream(message: string, details: readonly string[]): ChangeRefusedError {
  return new ChangeRefusedError(
    { message, details, at: new Date().toISOString() },
    undefined,
    { side: "source" },
  );
}
