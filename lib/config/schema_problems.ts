/**
 * What a schema refuses, as problems for the user: with the value, what is allowed, and the name
 * that was probably meant.
 *
 * @module
 */
import type { z } from "zod";
import { type Problem, redact, suggest } from "../core/internal.ts";

/** A path within a value: keys, and numbers for elements of lists. */
export type ValuePath = readonly (string | number)[];

/** What {@linkcode schemaProblems} needs. */
export interface SchemaProblemsOptions {
  readonly schema: z.ZodType;
  /** What was refused. */
  readonly value: unknown;
  /** A path for messages. */
  readonly place: (path: ValuePath) => string;
  /** What the reader calls a name in the value: a key, an option. */
  readonly keyWord: string;
  /** What the reader calls a value with names: a table, an object. */
  readonly objectWord: string;
  /** The path of what an unknown key is called elsewhere; undefined where there is none. */
  readonly otherName?: (key: string) => string | undefined;
}

/** Every problem of a value, in the order of the schema. */
export function schemaProblems(
  { issues }: z.ZodError,
  options: SchemaProblemsOptions,
): readonly Problem[] {
  return issues.flatMap((issue) => describeIssue(issue, options));
}

type SchemaIssue = z.core.$ZodIssue;

function describeIssue(issue: SchemaIssue, options: SchemaProblemsOptions): readonly Problem[] {
  const { schema, value, place, keyWord } = options;
  const path = issue.path.map((part) => typeof part === "number" ? part : String(part));
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(schema, path);
    return issue.keys.map((key) => ({
      path: place([...path, key]),
      message: `is not a known ${keyWord}; ${unknownKeyHint(key, { known, options })}`,
    }));
  }
  return [{ path: place(path), message: issueMessage(issue, valueAt(value, path), options) }];
}

function unknownKeyHint(
  key: string,
  { known, options: { otherName } }: {
    readonly known: readonly string[];
    readonly options: SchemaProblemsOptions;
  },
): string {
  const other = otherName?.(key);
  const [root = ""] = other?.split(".") ?? [];
  const near = [...suggest(key, known)];
  // too far by edit distance: `schema_only_tables` for `schema_only`
  if (near.length === 0) near.push(...known.filter((each) => isLonger(key, each)));
  const meant = near.length === 0 && other !== undefined && root !== key && known.includes(root)
    ? [other]
    : near;
  return meant.length > 0
    ? `did you mean ${meant.join(" or ")}?`
    : `must be one of ${known.join(", ")}`;
}

function isLonger(key: string, other: string): boolean {
  return key.startsWith(other) || key.length > 3 && other.startsWith(key);
}

function issueMessage(
  issue: SchemaIssue,
  value: unknown,
  options: Pick<SchemaProblemsOptions, "objectWord">,
): string {
  const described = describeInput(value, options);
  switch (issue.code) {
    case "invalid_type":
      if (value === undefined) return "is missing";
      return `is ${described}, must be ${typeName(issue.expected, options)}`;
    case "invalid_value": {
      const values = issue.values.map(String);
      const [near] = typeof value === "string" ? suggest(value, values, 1) : [];
      return `${described} is not one of ${values.join(", ")}` +
        (near === undefined ? "" : `; did you mean ${near}?`);
    }
    case "too_small":
      return `is ${described}, must be at least ${issue.minimum}`;
    case "too_big":
      return `is ${described}, must be at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

function typeName(
  expected: string,
  { objectWord }: Pick<SchemaProblemsOptions, "objectWord">,
): string {
  if (expected === "object" || expected === "record") return aOrAn(objectWord);
  return typeNames[expected] ?? expected;
}

const typeNames: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  bigint: "a bigint",
  array: "a list",
};

/** A value in the words of a message, without secrets. */
export function describeInput(
  value: unknown,
  { objectWord }: Pick<SchemaProblemsOptions, "objectWord">,
): string {
  switch (typeof value) {
    case "string":
      return `the string "${redact(value)}"`;
    case "number":
      if (Number.isNaN(value)) return "NaN";
      return `the number ${value}`;
    case "bigint":
      return `the bigint ${value}`;
    case "boolean":
      return `${value}`;
    case "function":
      return "a function";
  }
  if (value === null) return "null";
  if (value instanceof Date) return "a date";
  return Array.isArray(value) ? "a list" : aOrAn(objectWord);
}

function aOrAn(word: string): string {
  return `${/^[aeiou]/.test(word) ? "an" : "a"} ${word}`;
}

function valueAt(value: unknown, path: ValuePath): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null
        ? (inner as Record<string, unknown>)[key]
        : undefined,
    value,
  );
}

/** The keys allowed at the path. */
function knownKeys(schema: z.ZodType, path: ValuePath): readonly string[] {
  let at: unknown = schema;
  for (const part of path) at = inside(at, part);
  const shape = (unwrapped(at) as { shape?: object } | undefined)?.shape;
  return shape === undefined ? [] : Object.keys(shape);
}

function unwrapped(schema: unknown): unknown {
  const inner = (schema as { def?: { innerType?: unknown } } | undefined)?.def?.innerType;
  return inner === undefined ? schema : unwrapped(inner);
}

function inside(schema: unknown, part: string | number): unknown {
  const { def, shape } = unwrapped(schema) as {
    def?: { element?: unknown; valueType?: unknown };
    shape?: Record<string, unknown>;
  };
  return shape?.[part] ?? def?.element ?? def?.valueType;
}
