/**
 * Restricts a structure to the objects in scope. Pure.
 *
 * @module
 */
import { cutoverSchema, ownSchemas, type Side, tableKey } from "../../core/internal.ts";
import type { Consequences } from "../../rules/internal.ts";
import { objectKey, type Structure, type StructureObject } from "./model.ts";

/** What to exclude on both sides. */
export interface StructureScope {
  /** Objects excluded by the rules, and those that depend on them. */
  readonly consequences?: Consequences;
  /**
   * Whether a subscription of the tool follows the source. Sequences are then behind until cutover
   * sets them, which is a note rather than a difference.
   */
  readonly awaitsCutover?: boolean;
  /** The sides that a cutover has closed, and made read-only by default. */
  readonly closedSides?: readonly Side[];
  /** Schemas that only the target has because its provider does. */
  readonly reservedSchemas?: readonly string[];
}

/** Whether an object is to be compared. */
export function scopeFilter(
  { consequences, reservedSchemas = [] }: StructureScope,
): (object: StructureObject) => boolean {
  const relations = new Set(consequences?.relations.map(tableKey));
  const gone = new Set<string>();
  const functions = new Set<string>();
  for (const { dependent: { kind, schema, name, detail } } of consequences?.dependents ?? []) {
    if (kind === "function") functions.add(JSON.stringify([schema, `${name}(${detail ?? ""})`]));
    if (kind === "policy" || kind === "rule") {
      gone.add(objectKey({ kind, schema, parent: name, name: detail ?? "" }));
    }
  }
  for (const { table, name } of consequences?.impossibleKeys ?? []) {
    gone.add(objectKey({ kind: "constraint", schema: table.schema, parent: table.name, name }));
  }
  const isGone = (schema: string | undefined, name: string | undefined) =>
    schema !== undefined && name !== undefined && relations.has(tableKey({ schema, name }));
  return (object) => {
    const { kind, schema, parent, name, facts } = object;
    // the tool's own schemas, and the fence of a cutover
    const home = (kind === "schema" ? name : schema) ?? "";
    if (ownSchemas.includes(home) || reservedSchemas.includes(home)) return false;
    if (kind === "event trigger" && reservedSchemas.includes(schemaOf(String(facts.function)))) {
      return false;
    }
    if (kind === "trigger" && isFence(String(facts.function ?? ""))) return false;
    if (gone.has(objectKey(object))) return false;
    if (kind === "function") return !functions.has(JSON.stringify([schema, facts.signature]));
    if (kind === "trigger" || kind === "event trigger") {
      if (callsGone(String(facts.function ?? ""), functions)) return false;
    }
    if (kind === "table" || kind === "sequence") return !isGone(schema, name);
    if (kind === "statistics") return !namesGone(String(facts.table ?? ""), relations);
    return !isGone(schema, parent);
  };
}

/** The schema of a `regprocedure`. */
function schemaOf(printed: string): string {
  const part = /^("(?:[^"]|"")+"|[^".(]+)\./.exec(printed)?.[1];
  return part === undefined ? "" : plain(part);
}

function isFence(printedFunction: string): boolean {
  return printedFunction.startsWith(`${cutoverSchema}.`);
}

/**
 * `regprocedure` prints `schema.name()`, with parts quoted if necessary. Trigger functions have no
 * arguments.
 */
function callsGone(printed: string, functions: ReadonlySet<string>): boolean {
  const parts = /^("(?:[^"]|"")+"|[^".(]+)\.("(?:[^"]|"")+"|[^".(]+)\(\)$/.exec(printed);
  return parts !== null &&
    functions.has(JSON.stringify([plain(parts[1]!), `${plain(parts[2]!)}()`]));
}

function namesGone(printed: string, relations: ReadonlySet<string>): boolean {
  const parts = /^("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)$/.exec(printed);
  return parts !== null &&
    relations.has(tableKey({ schema: plain(parts[1]!), name: plain(parts[2]!) }));
}

function plain(part: string): string {
  return part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part;
}

/** The structure reduced to the objects in scope. */
export function withinScope(
  structure: Structure,
  isInScope: (object: StructureObject) => boolean,
): Structure {
  return {
    ...structure,
    objects: new Map([...structure.objects].filter(([, object]) => isInScope(object))),
  };
}
