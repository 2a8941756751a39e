/**
 * Which column of the source is compared with which of the target, and how. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import type { ComparedRelation, RelationColumn } from "./relations.ts";
import { commonShape, textInShape } from "./type_shapes.ts";

/** As what a value goes into the hash of its row. */
export type HashForm =
  /** A number. */
  | "integer"
  /** What can be made an `int`: a boolean, a `"char"`. */
  | "small"
  | "date"
  /** A `timestamp` or `timestamptz`. */
  | "moment"
  /** A `real` or `double precision`. */
  | "float"
  /** Its text, in the encoding that both databases have. */
  | "text"
  | "uuid"
  /** A few bytes of binary form. */
  | "fixed"
  /** Its binary form. */
  | "bytes";

/** A column on both sides. */
export interface ComparedColumn {
  readonly name: string;
  /** The function that gives its binary form; undefined where its text is compared. */
  readonly send: string | undefined;
  readonly form: HashForm;
  /**
   * The output function in `pg_catalog` that both sides' types have; undefined where `format` is to
   * find it.
   */
  readonly output: string | undefined;
  /** Whether `=` with a literal runs nothing but the server's own code, on both sides. */
  readonly isComparable: boolean;
  /** Whether it is a `"char"[]` on both sides: its elements are printed differently before 15. */
  readonly isCharArray: boolean;
  /**
   * For a composite type whose attributes are not the same or stand in another order: an expression
   * over the bare column for the value's text, on either side, which takes the column's place
   * wherever rows are read.
   */
  readonly sourceText: string | undefined;
  readonly targetText: string | undefined;
  /**
   * Whether its text goes into digests in the encoding of both databases instead of UTF-8, in which
   * it may have no form.
   */
  readonly isConverted: boolean;
  /** On both sides. */
  readonly isNotNull: boolean;
  /** Whether it has no NULLs and ranges of its values are the same on both sides. */
  readonly isOrdered: boolean;
  /** As in a table definition, of either side. */
  readonly sourceType: string;
  readonly targetType: string;
  readonly isGenerated: boolean;
  readonly isIdentityAlways: boolean;
}

/** What is known of the two databases' encodings. */
export interface EncodingOptions {
  /** Whether the same text is the same bytes on both sides. */
  readonly sameEncoding: boolean;
  /**
   * Whether they have one and it is not that of our sessions: some texts may have no form in UTF-8.
   */
  readonly isConverted?: boolean;
}

/** Columns that both sides have, in the source's order, and what is wrong with the others. */
export function pairColumns(
  source: Pick<ComparedRelation, "columns">,
  target: Pick<ComparedRelation, "columns">,
  encoding: EncodingOptions,
): { readonly columns: readonly ComparedColumn[]; readonly columnProblem: string | undefined } {
  const onTarget = new Map(target.columns.map((column) => [column.name, column]));
  const columns = source.columns.flatMap((column): ComparedColumn[] => {
    const other = onTarget.get(column.name);
    onTarget.delete(column.name);
    if (other === undefined) return [];
    // derived from the others whenever it is read, by an expression that the structure's comparison
    // looks at
    if (column.isVirtual || other.isVirtual) return [];
    return [pairColumn(column, other, encoding)];
  });
  const missing = source.columns.filter(({ name }) =>
    !target.columns.some((column) => column.name === name)
  );
  const problems = [
    ...missing.map(({ name }) => `the target has no column ${name}`),
    ...[...onTarget.keys()].map((name) => `only the target has column ${name}`),
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
    sourceText: shape && textInShape(name, column.shape, shape),
    targetText: shape && textInShape(name, other.shape, shape),
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
  // digits look the same in every encoding, and making text of them is quicker
  ["numeric_send", "text"],
]);

/** Binary forms that are text in the encoding of the session. */
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
