/**
 * The composition of column types, as far as it affects how values are compared.
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

/** A type with domains resolved to their base types. */
export type TypeShape =
  /** Its text is the same on both sides. */
  | { readonly kind: "plain" }
  /** `"char"`: values above 127 print differently before version 15. */
  | { readonly kind: "char" }
  | { readonly kind: "array"; readonly element: TypeShape }
  | { readonly kind: "composite"; readonly attributes: readonly Attribute[] };

/** An attribute of a composite type, in the type's order. */
export interface Attribute {
  readonly name: string;
  readonly shape: TypeShape;
}

const plain: TypeShape = { kind: "plain" };

// Restricted to types used by columns, since every table has a row type. Array types are found
// through their element's typarray, because typelem is also set for other types.
const typeStatement = `
  WITH RECURSIVE used (oid) AS (
    SELECT DISTINCT a.atttypid
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION
    SELECT part.oid
      FROM used
      JOIN pg_catalog.pg_type AS t ON t.oid = used.oid
     CROSS JOIN LATERAL (
       SELECT t.typbasetype WHERE t.typtype = 'd'
       UNION ALL
       SELECT e.oid FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid
       UNION ALL
       SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
     ) AS part (oid)
  )
  SELECT t.oid, CASE WHEN t.typtype = 'd' THEN t.typbasetype END AS base,
         (SELECT e.oid FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid) AS element,
         CASE WHEN t.typtype = 'c' THEN (
           SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid) ORDER BY a.attnum)
             FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END AS attributes,
         t.typtype = 'c' AS is_composite
    FROM used
    JOIN pg_catalog.pg_type AS t ON t.oid = used.oid
   WHERE t.typtype IN ('c', 'd') OR EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)`;

type TypeRow = {
  readonly oid: number;
  readonly base: number | null;
  readonly element: number | null;
  readonly attributes: readonly (readonly [string, string | number])[] | null;
  readonly is_composite: boolean;
};

const charOid = 18;

/** Reads the shapes of all types used by columns; returns a function that finds one by OID. */
export async function readTypeShapes(session: Session): Promise<(oid: number) => TypeShape> {
  const rows = await session.query<TypeRow>(typeStatement);
  const types = new Map(rows.map((row) => [row.oid, row]));
  const shapes = new Map<number, TypeShape>();
  const shapeOf = (oid: number): TypeShape => {
    const known = shapes.get(oid);
    if (known !== undefined) return known;
    const shape = make(oid);
    shapes.set(oid, shape);
    return shape;
  };
  const make = (oid: number): TypeShape => {
    if (oid === charOid) return { kind: "char" };
    const type = types.get(oid);
    if (type === undefined) return plain;
    if (type.base !== null) return shapeOf(type.base);
    if (type.is_composite) {
      const attributes = (type.attributes ?? [])
        .map(([name, oid]) => ({ name, shape: shapeOf(Number(oid)) }));
      return { kind: "composite", attributes };
    }
    if (type.element !== null) return { kind: "array", element: shapeOf(type.element) };
    return plain;
  };
  return shapeOf;
}

/**
 * The shape used to print values of a composite type on both sides: the target's attributes in the
 * target's order, so that the target can parse the text, followed by those that only the source
 * has. Undefined if the server's own text is comparable.
 */
export function commonShape(source: TypeShape, target: TypeShape): TypeShape | undefined {
  const common = merged(source, target);
  return containsComposite(common) &&
      (containsChar(common) || !isSame(source, common) || !isSame(target, common))
    ? common
    : undefined;
}

function merged(source: TypeShape, target: TypeShape): TypeShape {
  if (source.kind === "array" && target.kind === "array") {
    return { kind: "array", element: merged(source.element, target.element) };
  }
  if (source.kind !== "composite" || target.kind !== "composite") return target;
  const onSource = new Map(source.attributes.map(({ name, shape }) => [name, shape]));
  const onTarget = new Set(target.attributes.map(({ name }) => name));
  return {
    kind: "composite",
    attributes: [
      ...target.attributes.map(({ name, shape }) => ({
        name,
        shape: merged(onSource.get(name) ?? shape, shape),
      })),
      ...source.attributes.filter(({ name }) => !onTarget.has(name)),
    ],
  };
}

function isSame(one: TypeShape, other: TypeShape): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function containsComposite(shape: TypeShape): boolean {
  return shape.kind === "composite" || shape.kind === "array" && containsComposite(shape.element);
}

function containsChar(shape: TypeShape): boolean {
  switch (shape.kind) {
    case "plain":
      return false;
    case "char":
      return true;
    case "array":
      return containsChar(shape.element);
    case "composite":
      return shape.attributes.some((attribute) => containsChar(attribute.shape));
  }
}

/** What {@linkcode textInShape} turns a value into. */
export interface ShapePair {
  /** The shape of the value's type. */
  readonly own: TypeShape;
  /** The shape of the text. */
  readonly result: TypeShape;
  /** Arrays around the value, which make names of its elements unique. */
  readonly depth?: number;
}

/**
 * A value's text in the form the server would use for a type of the given shape. Runs only output
 * functions and built-in functions, whatever the types.
 *
 * @param value an SQL expression
 */
export function textInShape(value: string, { own, result, depth = 0 }: ShapePair): string {
  if (result.kind === "composite" && own.kind === "composite") {
    const shapes = new Map(own.attributes.map(({ name, shape }) => [name, shape]));
    const attributes = result.attributes.map(({ name, shape }) => {
      const attribute = shapes.get(name);
      return attribute === undefined
        ? "NULL::pg_catalog.text"
        : textInShape(`(${value}).${quoteIdentifier(name)}`, {
          own: attribute,
          result: shape,
          depth: depth + 1,
        });
    });
    return unlessNull(value, `pg_catalog.format('%s', ROW(${attributes.join(", ")}))`);
  }
  if (
    result.kind === "array" && own.kind === "array" &&
    (containsComposite(result) || containsChar(result))
  ) {
    return unlessNull(
      value,
      arrayInShape(value, { own: own.element, result: result.element, depth: depth + 1 }),
    );
  }
  // unless it is "char" on both sides, compare it as text
  return result.kind === "char" && own.kind === "char" ? charText(value) : outputText(value);
}

/**
 * Bounds precede the elements where `array_out` prints them, and for multidimensional arrays, whose
 * elements are listed flat.
 */
function arrayInShape(value: string, { own, result, depth }: Required<ShapePair>): string {
  const element = `seren_${depth}`;
  const texts = `pg_catalog.format('%s', ARRAY(SELECT ${
    textInShape(`${element}.value`, { own, result, depth })
  } FROM (SELECT pg_catalog.unnest(${value}) AS value) AS ${element}))`;
  return `CASE WHEN pg_catalog.array_ndims(${value}) > 1 OR pg_catalog.array_lower(${value}, 1) <> 1
    THEN pg_catalog.concat(pg_catalog.array_dims(${value}), '=') ELSE '' END OPERATOR(pg_catalog.||) ${texts}`;
}

/** The text of a `"char"`, the same in all versions. */
export function charText(value: string): string {
  return `pg_catalog.encode(pg_catalog.charsend(${value}), 'escape')`;
}

/**
 * A value's text from its type's output function, since a cast to text may be user-defined.
 * `format` prints NULL as an empty string. IS DISTINCT FROM NULL, unlike IS NOT NULL, is true for a
 * composite value of NULLs, and looks up no operator.
 */
export function outputText(value: string): string {
  return unlessNull(value, `pg_catalog.format('%s', ${value})`);
}

/** As {@linkcode charText}, of a `"char"[]`. */
export function charArrayText(value: string): string {
  return unlessNull(
    value,
    arrayInShape(value, { own: { kind: "char" }, result: { kind: "char" }, depth: 0 }),
  );
}

function unlessNull(value: string, text: string): string {
  return `CASE WHEN ${value} IS DISTINCT FROM NULL THEN ${text} END`;
}
