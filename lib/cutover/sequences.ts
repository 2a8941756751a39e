/**
 * Sequences at a cutover: logical replication does not carry them, and `nextval` is not stopped by
 * the barrier. The new side continues at a safe distance behind every value that the old side can
 * have given out.
 *
 * @module
 */
import {
  ownSchemaList,
  quoteLiteral,
  quoteQualified,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import { notOfExtension, readSequenceValues } from "../catalog/internal.ts";

/** A sequence with its value and limits. */
export interface SequenceReading extends TableName {
  /** Every value that was given out lies before it or is it, including those cached in sessions. */
  readonly lastValue: bigint;
  /** Whether `nextval` has returned `lastValue`. */
  readonly isCalled: boolean;
  readonly increment: bigint;
  readonly min: bigint;
  readonly max: bigint;
  readonly cache: bigint;
  readonly cycles: boolean;
}

/** A sequence and the value to set. */
export interface SequenceSetting extends TableName {
  readonly value: bigint;
  readonly isCalled: boolean;
  /** Why the margin could not be kept; undefined if it was. */
  readonly note: string | undefined;
}

const listStatement = `
  SELECT n.nspname AS schema, c.relname AS name, s.seqincrement::pg_catalog.text AS increment,
         s.seqmin::pg_catalog.text AS min, s.seqmax::pg_catalog.text AS max,
         s.seqcache::pg_catalog.text AS cache, s.seqcycle AS cycles
    FROM pg_catalog.pg_sequence AS s
    JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})
     -- the planner may evaluate it for other relations too, for which it is an error
     AND CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') END
     AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
     AND (EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE c.oid = ANY (e.extconfig))
          OR ${notOfExtension("pg_class", "c.oid")})
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

type ListRow = {
  readonly schema: string;
  readonly name: string;
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cache: string;
  readonly cycles: boolean;
};

/** Calls in one message. */
const batchSize = 500;

/** Reads the readable sequences of the session's database, with their values. */
export async function readSequences(session: Session): Promise<readonly SequenceReading[]> {
  const rows = await session.query<ListRow>(listStatement);
  const values = await readSequenceValues(session, rows);
  return values.map((value, position) => {
    const { increment, min, max, cache, cycles } = rows[position]!;
    return {
      ...value,
      increment: BigInt(increment),
      min: BigInt(min),
      max: BigInt(max),
      cache: BigInt(cache),
      cycles,
    };
  });
}

/**
 * The value of each sequence on the new side: the old side's value plus the margin, in the
 * direction of the increment, and never behind the value that the new side has already. Pure.
 *
 * @param margin how many further values the old side can still give out before its sessions end,
 * in `nextval` calls; multiplied by the sequence's cache
 */
export function planSequences(
  { from, to, margin }: {
    readonly from: readonly SequenceReading[];
    readonly to: readonly SequenceReading[];
    readonly margin: number;
  },
): readonly SequenceSetting[] {
  const there = new Map(to.map((sequence) => [tableKey(sequence), sequence]));
  return from.flatMap((sequence) => {
    const other = there.get(tableKey(sequence));
    return other === undefined ? [] : [planSequence(sequence, { other, margin })];
  });
}

function planSequence(
  from: SequenceReading,
  { other, margin }: { readonly other: SequenceReading; readonly margin: number },
): SequenceSetting {
  const { schema, name, increment, isCalled } = from;
  const ascends = increment > 0n;
  const { min, max, cycles } = other; // its limits decide what can be set
  const start = ascends ? min : max;
  const end = ascends ? max : min;
  // a sequence that was never used keeps its start, unless the margin moves it
  const steps = BigInt(margin) * from.cache;
  if (!isCalled && steps === 0n) {
    return {
      schema,
      name,
      value: clamp(from.lastValue, min, max),
      isCalled: false,
      note: undefined,
    };
  }
  const wanted = from.lastValue + increment * steps;
  const passesEnd = ascends ? wanted > max : wanted < min;
  if (passesEnd) {
    return cycles
      ? {
        schema,
        name,
        value: wrapped(wanted, { min, max, ascends }),
        isCalled: true,
        note: undefined,
      }
      : {
        schema,
        name,
        // a value that was not given out yet is not skipped: it may be the last one
        ...(isWithin(from.lastValue, min, max)
          ? { value: from.lastValue, isCalled }
          : { value: end, isCalled: true }),
        note: "fewer values are left than the margin: it was set without a margin",
      };
  }
  const isOutside = ascends ? wanted < min : wanted > max;
  const value = isOutside ? start : wanted;
  const isAhead = !cycles && other.isCalled &&
    (ascends ? other.lastValue > value : other.lastValue < value);
  return isAhead
    ? { schema, name, value: other.lastValue, isCalled: true, note: undefined }
    : { schema, name, value, isCalled: isCalled || steps > 0n, note: undefined };
}

function wrapped(
  value: bigint,
  { min, max, ascends }: { readonly min: bigint; readonly max: bigint; readonly ascends: boolean },
): bigint {
  const span = max - min + 1n;
  return ascends ? min + (value - max - 1n) % span : max - (min - value - 1n) % span;
}

function clamp(value: bigint, min: bigint, max: bigint): bigint {
  return value < min ? min : value > max ? max : value;
}

function isWithin(value: bigint, min: bigint, max: bigint): boolean {
  return value >= min && value <= max;
}

/** Those that a side does not have yet. Pure. */
export function changedSettings(
  settings: readonly SequenceSetting[],
  existing: readonly SequenceReading[],
): readonly SequenceSetting[] {
  const known = new Map(existing.map((sequence) => [tableKey(sequence), sequence]));
  return settings.filter((setting) => {
    const sequence = known.get(tableKey(setting));
    return sequence?.lastValue !== setting.value || sequence.isCalled !== setting.isCalled;
  });
}

/**
 * Lets the sequences of one side continue behind those of the other.
 *
 * @param margin see {@linkcode planSequences}
 * @returns the settings, whether they were changed or not
 */
export async function continueSequences(
  { from, to, margin }: { readonly from: Session; readonly to: Session; readonly margin: number },
): Promise<readonly SequenceSetting[]> {
  const [there, here] = await Promise.all([readSequences(from), readSequences(to)]);
  const settings = planSequences({ from: there, to: here, margin });
  for (const statement of setSequenceStatements(changedSettings(settings, here))) {
    await to.queryAll(statement);
  }
  return settings;
}

/** Statements that set sequences, a few hundred in each. They can be repeated. */
export function setSequenceStatements(settings: readonly SequenceSetting[]): readonly string[] {
  const statements: string[] = [];
  for (let from = 0; from < settings.length; from += batchSize) {
    const calls = settings.slice(from, from + batchSize).map(({ schema, name, value, isCalled }) =>
      `pg_catalog.setval(${
        quoteLiteral(quoteQualified(schema, name)).trim()
      }::pg_catalog.regclass, ${value}, ${isCalled})`
    );
    statements.push(calls.map((call) => `SELECT ${call}`).join(";\n"));
  }
  return statements;
}
