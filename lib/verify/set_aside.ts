/**
 * Marks differences that `init` reported: objects that it could not create or fill. Pure.
 *
 * @module
 */
import type { SetAsideObject } from "../schema/internal.ts";
import type { StructureDifference, StructureSection } from "./structure/mod.ts";
import type { VerifiedTable } from "./report/report.ts";

/**
 * Adds the reason to each difference about an object that `init` set aside; it remains a
 * difference.
 */
export function nameSetAside(
  sections: readonly StructureSection[],
  objects: readonly SetAsideObject[],
): readonly StructureSection[] {
  if (objects.length === 0) return sections;
  return sections.map((section) => ({
    ...section,
    differences: section.differences.map((difference) => {
      const object = objects.find((each) => isOf(each, difference));
      return object === undefined
        ? difference
        : { ...difference, ...reasonWords(object, difference) };
    }),
  }));
}

/** Adds the reason to each materialized view that could not be filled. */
export function nameUnfilled(
  tables: readonly VerifiedTable[],
  objects: readonly SetAsideObject[],
): readonly VerifiedTable[] {
  return tables.map((table) => {
    const object = objects.find((each) =>
      each.object.startsWith("MATERIALIZED VIEW ") &&
      nameIn(each) === `${table.schema}.${table.name}`
    );
    if (object === undefined || table.verdict === "equal") return table;
    const reason = [table.reason, `set aside by init: ${object.reason}`, seeAlso(object)]
      .filter((part) => part !== undefined).join("; ");
    return { ...table, reason };
  });
}

function reasonWords(
  object: SetAsideObject,
  { message }: StructureDifference,
): Pick<StructureDifference, "message" | "remedy" | "setAside"> {
  return {
    message: `${message}; set aside by init: ${object.reason}`,
    remedy: seeAlso(object),
    setAside: true,
  };
}

function seeAlso({ remedy }: SetAsideObject): string {
  return `${remedy} (docs/guides/set-aside.md)`;
}

/**
 * The name in an object's description, without arguments: `public.orders orders_pkey` for
 * `CONSTRAINT public.orders orders_pkey`.
 */
function nameIn({ object }: SetAsideObject): string {
  return withoutArguments(object.replace(/^[A-Z ]+ /, ""));
}

function isOf(object: SetAsideObject, { schema, parent, name }: StructureDifference): boolean {
  const within = schema === undefined ? "" : `${schema}.`;
  const bare = withoutArguments(name);
  const described = nameIn(object);
  return described === `${within}${bare}` ||
    parent !== undefined && described === `${within}${parent} ${bare}`;
}

function withoutArguments(name: string): string {
  return name.replace(/\(.*$/s, "");
}
