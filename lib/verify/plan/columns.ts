/**
 * Pairs the columns of source and target and decides how each pair is compared. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import type { ComparedRelation, RelationColumn } from "./relations.ts";
import { commonShape, textInShape } from "./type_shapes.ts";

/** The form in which a value enters the hash of its row. */
export type HashForm =
  /** An integer. */
  | "integer"
  /** A boolean or `"char"`, converted to `int`. */
  | "small"
  | "date"
  /** A `timestamp` or `timestamptz`. */
  | "moment"
  /** A `real` or `double precision`. */
  | "float"
  /** Text in the encoding common to both databases. */
  | "text"
  | "uuid"
  /** A fixed-length binary form of a few bytes. */
  | "fixed"
  /** A binary form of any length. */
  | "bytes";

/** A column on both sides. */
export interface ComparedColumn {
  /** Its name. */
  readonly name: string;
  /** The function that returns its binary form; undefined if its text is compared. */
  readonly send: string | undefined;
  /** How it enters the hash. */
  readonly form: HashForm;
  /**
   * The output function in `pg_catalog` common to both types; undefined if `format` must look it
   * up.
   */
  readonly output: string | undefined;
  /** Whether `=` with a literal runs only built-in code on both sides. */
  readonly isComparable: boolean;
  /** Whether it is `"char"[]` on both sides, whose elements print differently before version 15. */
  readonly isCharArray: boolean;
  /**
   * For a composite type whose attributes differ or are ordered differently: an expression for the
   * value's text that replaces the column wherever rows are read.
   */
  readonly sourceText: string | undefined;
  /** Its text on the target. */
  readonly targetText: string | undefined;
  /**
   * Whether digests use its text in the encoding of both databases rather than UTF-8, to which it
   * may not be convertible.
   */
  readonly isConverted: boolean;
  /** NOT NULL on both sides. */
  readonly isNotNull: boolean;
  /** Whether it is NOT NULL and its values sort alike on both sides. */
  readonly isOrdered: boolean;
  /** As in a table definition. */
  readonly sourceType: string;
  /** Its type on the target. */
  readonly targetType: string;
  /** Whether it is generated. */
  readonly isGenerated: boolean;
  /** Whether it is GENERATED ALWAYS AS IDENTITY. */
  readonly isIdentityAlways: boolean;
}

/** The encodings of the two databases. */
export interface EncodingOptions {
  /** Whether both databases have the same encoding. */
  readonly sameEncoding: boolean;
  /** Whether that encoding is not UTF-8, so that some text may not be convertible to it. */
  readonly isConverted?: boolean;
}

/** The columns common to both sides, in the source's order, and how the others differ. */
export function pairColumns(
  { source, target }: {
    readonly source: Pick<ComparedRelation, "columns">;
    readonly target: Pick<ComparedRelation, "columns">;
  },
  encoding: EncodingOptions,
): { readonly columns: readonly ComparedColumn[]; readonly columnProblem: string | undefined } {
  const onTarget = new Map(target.columns.map((column) => [column.name, column]));
  const columns = source.columns.flatMap((column): ComparedColumn[] => {
    const other = onTarget.get(column.name);
    onTarget.delete(column.name);
    if (other === undefined) return [];
    // computed on read from other columns; its expression is compared with the structure
    if (column.isVirtual || other.isVirtual) return [];
    return [pairColumn(column, other, encoding)];
  });
  const missing = source.columns.filter(({ name }) =>
    !target.columns.some((column) => column.name === name)
  );
  const problems = [
    ...missing.map(({ name }) => `column ${name} is missing on the target`),
    ...[...onTarget.keys()].map((name) => `column ${name} exists only on the target`),
  ];
  return { columns, columnProblem: problems.length === 0 ? undefined : problems.join("; ") };
}

function pairColumn(
  column: RelationColumn,
  other: RelationColumn,
  { sameEncoding, isConverted = false }: EncodingOptions,
): ComparedColumn {
  const name = quoteIdentifier(column.name);
  const shape = commonShape(column.shape, other.shape);
  const isSameType = column.typeOid === other.typeOid;
  const isSent = shape === undefined && isSameType && column.send === other.send &&
    !(isConverted && textSends.has(column.send ?? ""));
  const send = isSent ? column.send : undefined;
  const isNotNull = column.isNotNull && other.isNotNull;
  const isBuiltIn = column.isBuiltIn && other.isBuiltIn;
  return {
    name: column.name,
    send,
    form: formOf({ ...column, send }, sameEncoding),
    output: shape !== undefined
      ? "textout"
      : column.output === other.output
      ? column.output
      : undefined,
    isComparable: isBuiltIn,
    isCharArray: [column, other].every(({ shape }) =>
      shape.kind === "array" && shape.element.kind === "char"
    ),
    sourceText: shape && textInShape(name, { own: column.shape, result: shape }),
    targetText: shape && textInShape(name, { own: other.shape, result: shape }),
    isConverted,
    isNotNull,
    isOrdered: column.isOrdered && other.isOrdered && isSameType && isNotNull,
    sourceType: column.type,
    targetType: other.type,
    isGenerated: other.isGenerated,
    isIdentityAlways: other.isIdentityAlways,
  };
}

const forms: ReadonlyMap<string, HashForm> = new Map([
  ["int2send", "integer"],
  ["int4send", "integer"],
  ["int8send", "integer"],
  ["oidsend", "integer"],
  ["boolsend", "small"],
  ["charsend", "small"],
  ["date_send", "date"],
  ["uuid_send", "uuid"],
  ["timestamp_send", "moment"],
  ["timestamptz_send", "moment"],
  ["float4send", "float"],
  ["float8send", "float"],
  // digits are the same in every encoding, and text output is faster
  ["numeric_send", "text"],
]);

/** Send functions whose result is text in the client encoding. */
const textSends: ReadonlySet<string> = new Set([
  "bpcharsend",
  "json_send",
  "jsonb_send",
  "jsonpath_send",
  "namesend",
  "textsend",
  "unknownsend",
  "varcharsend",
  "xml_send",
]);

function formOf(
  { send, isFixed }: Pick<RelationColumn, "send" | "isFixed">,
  sameEncoding: boolean,
): HashForm {
  const form = forms.get(send ?? "");
  if (form !== undefined) return form;
  const isText = send === undefined || send === "textsend" || send === "varcharsend";
  if (isText && sameEncoding) return "text";
  return isFixed && send !== undefined ? "fixed" : "bytes";
}
