/**
 * Descriptions of objects and their properties. Pure.
 *
 * @module
 */
import { displayName } from "../../core/internal.ts";
import type { FactValue, StructureObject } from "./model.ts";

/** An object's description: `index orders_by_day of orders`, `column total of sales.orders`. */
export function describeObject({ kind, schema, parent, name, facts }: StructureObject): string {
  const shown = (part: string) => displayName({ schema: "public", name: part });
  const within = (part: string) =>
    schema === undefined ? shown(part) : displayName({ schema, name: part });
  switch (kind) {
    case "database":
      return "the database";
    case "setting":
      return `setting ${name} ${
        parent === undefined ? "of the database" : `of role ${shown(parent)}`
      }`;
    case "default privileges":
      return `default privileges of ${shown(parent ?? "")} on ${name}${
        schema === undefined ? "" : ` in ${shown(schema)}`
      }`;
    case "large objects":
      return `large objects of ${shown(parent ?? "")}${name === "" ? "" : ` with ${name}`}`;
    case "security label":
      return `security label of ${name} by ${parent}`;
    case "user mapping":
      return `user mapping of ${name} for ${shown(parent ?? "")}`;
    case "function":
      return `${facts.kind ?? kind} ${qualified(schema, name)}`;
    case "operator":
    case "operator class":
    case "operator family":
      return `${kind} ${qualified(schema, name)}`;
    case "cast":
    case "transform":
      return `${kind} ${name}`;
    case "type":
    case "table":
      return `${facts.kind ?? kind} ${within(name)}`;
    case "index":
    case "column":
    case "constraint":
    case "domain constraint":
    case "trigger":
    case "rule":
    case "policy":
      return `${kind === "constraint" ? constraintWord(facts.kind) : kind} ${shown(name)} of ${
        within(parent ?? "")
      }`;
    default:
      return `${kind} ${within(name)}`;
  }
}

function constraintWord(kind: FactValue | undefined): string {
  switch (kind) {
    case "primary key":
    case "foreign key":
      return kind;
    default:
      return `${kind} constraint`;
  }
}

/** For names with arguments or other parts, which must not be quoted as a whole. */
function qualified(schema: string | undefined, name: string): string {
  if (schema === undefined || schema === "public") return name;
  return `${displayName({ schema: "public", name: schema })}.${name}`;
}

/** Descriptions of boolean properties: true, false. */
const yesNo: Readonly<Record<string, readonly [string, string]>> = {
  valid: ["valid", "invalid"],
  ready: ["ready", "not ready"],
  unique: ["unique", "not unique"],
  clustered: ["used by CLUSTER", "not used by CLUSTER"],
  validated: ["validated", "NOT VALID"],
  deferrable: ["deferrable", "not deferrable"],
  "initially deferred": ["initially deferred", "not initially deferred"],
  "not enforced": ["not enforced", "enforced"],
  "not null": ["NOT NULL", "may be NULL"],
  filled: ["populated", "not populated"],
  strict: ["strict", "not strict"],
  "row security": ["row security on", "row security off"],
  "forced row security": ["row security forced", "row security not forced"],
  permissive: ["permissive", "restrictive"],
  unlogged: ["unlogged", "logged"],
};

/** Descriptions of absent properties, if not `no …`. */
const absent: Readonly<Record<string, string>> = {
  "partition of": "not a partition",
  generated: "not generated",
  identity: "not an identity column",
};

/** A property's description: `type integer`, `NOT NULL`, `no default`. */
function describeFact(property: string, value: FactValue | undefined): string {
  const words = Object.hasOwn(yesNo, property) ? yesNo[property] : undefined;
  if (
    words !== undefined && (typeof value === "boolean" || value === null || value === undefined)
  ) {
    return words[value === true ? 0 : 1];
  }
  if (value === null || value === undefined || value === false) {
    return Object.hasOwn(absent, property) ? absent[property]! : `no ${property}`;
  }
  return value === true ? property : `${property} ${describeValue(value)}`;
}

/** A value without its property. */
export function describeValue(value: FactValue): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" || typeof value === "string") return String(value);
  return value.map((each) => `'${each}'`).join(", ");
}

const maxExcerpt = 100;

/** Describes both sides; for long texts, only their first difference. */
export function describeChange(
  property: string,
  { source, target }: {
    readonly source: FactValue | undefined;
    readonly target: FactValue | undefined;
  },
): string {
  if (property === "numbers") return "the OIDs of the large objects differ";
  const isLong = (value: FactValue | undefined) =>
    typeof value === "string" && (value.length > maxExcerpt || value.trim().includes("\n"));
  if (
    typeof source === "string" && typeof target === "string" && (isLong(source) || isLong(target))
  ) {
    return describeFirstDifference(property, source, target);
  }
  const shown = (value: FactValue | undefined) =>
    isLong(value) ? `a ${property}` : describeFact(property, value);
  return `${shown(source)} on the source, ${shown(target)} on the target`;
}

function describeFirstDifference(property: string, source: string, target: string): string {
  const [sourceLines, targetLines] = [source.split("\n"), target.split("\n")];
  const line = sourceLines.findIndex((text, index) => text !== targetLines[index]);
  const at = line < 0 ? sourceLines.length : line;
  const [one, other] = [sourceLines[at], targetLines[at]];
  if (one === undefined || other === undefined) {
    return `${property} is ${one === undefined ? "longer" : "shorter"} on the target from line ${
      at + 1
    } on`;
  }
  const where = sourceLines.length > 1 || targetLines.length > 1 ? ` from line ${at + 1} on` : "";
  return `${property} differs${where}: ${excerpts(one, other)}`;
}

/** Excerpts around the first differing character. */
function excerpts(one: string, other: string): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const from = Math.max(0, at - 30);
  const excerpt = (text: string) => {
    const piece = text.slice(from, from + maxExcerpt).trim();
    return `${from > 0 ? "…" : ""}${piece}${text.length > from + maxExcerpt ? "…" : ""}`;
  };
  return `${excerpt(one)} on the source, ${excerpt(other)} on the target`;
}
