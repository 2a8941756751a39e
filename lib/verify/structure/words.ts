/**
 * Objects and their properties in words. Pure.
 *
 * @module
 */
import { displayName } from "../../core/internal.ts";
import type { FactValue, StructureObject } from "./model.ts";

/** What an object is called: `index orders_by_day of orders`, `column total of sales.orders`. */
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

/** Names with more than a name in them are not quoted as a whole. */
function qualified(schema: string | undefined, name: string): string {
  if (schema === undefined || schema === "public") return name;
  return `${displayName({ schema: "public", name: schema })}.${name}`;
}

/** What a property that is true or not is called in both cases. */
const yesNo: Readonly<Record<string, readonly [string, string]>> = {
  valid: ["valid", "invalid"],
  ready: ["ready", "not ready"],
  unique: ["unique", "not unique"],
  clustered: ["the one to cluster by", "not the one to cluster by"],
  validated: ["validated", "NOT VALID"],
  deferrable: ["deferrable", "not deferrable"],
  "initially deferred": ["initially deferred", "not initially deferred"],
  "not enforced": ["not enforced", "enforced"],
  "not null": ["NOT NULL", "may be NULL"],
  filled: ["filled", "not filled"],
  strict: ["strict", "not strict"],
  "row security": ["row security on", "row security off"],
  "forced row security": ["row security forced", "row security not forced"],
  permissive: ["permissive", "restrictive"],
  unlogged: ["unlogged", "logged"],
};

/** A property in words: `type integer`, `NOT NULL`, `no default`. */
export function describeFact(property: string, value: FactValue | undefined): string {
  const words = Object.hasOwn(yesNo, property) ? yesNo[property] : undefined;
  if (
    words !== undefined && (typeof value === "boolean" || value === null || value === undefined)
  ) {
    return words[value === true ? 0 : 1];
  }
  if (value === null || value === undefined || value === false) return `no ${property}`;
  return value === true ? property : `${property} ${describeValue(value)}`;
}

/** A value on its own. */
export function describeValue(value: FactValue): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" || typeof value === "string") return String(value);
  return value.map((each) => `'${each}'`).join(", ");
}

const longest = 100;

/** Both sides in a sentence; of long texts only where they part. */
export function describeChange(
  property: string,
  source: FactValue | undefined,
  target: FactValue | undefined,
): string {
  if (property === "numbers") return "not the same large objects: their numbers differ";
  const isLong = (value: FactValue | undefined) =>
    typeof value === "string" && (value.length > longest || value.trim().includes("\n"));
  if (
    typeof source === "string" && typeof target === "string" && (isLong(source) || isLong(target))
  ) {
    return describeParting(property, source, target);
  }
  const shown = (value: FactValue | undefined) =>
    isLong(value) ? `a ${property}` : describeFact(property, value);
  return `${shown(source)} on the source, ${shown(target)} on the target`;
}

function describeParting(property: string, source: string, target: string): string {
  const [ours, theirs] = [source.split("\n"), target.split("\n")];
  const line = ours.findIndex((text, index) => text !== theirs[index]);
  const at = line < 0 ? ours.length : line;
  const [one, other] = [ours[at], theirs[at]];
  if (one === undefined || other === undefined) {
    return `another ${property} on the target: it is ${
      one === undefined ? "longer" : "shorter"
    }, from line ${at + 1} on`;
  }
  const where = ours.length > 1 || theirs.length > 1 ? ` from line ${at + 1} on` : "";
  return `another ${property} on the target${where}: ${excerpts(one, other)}`;
}

/** Around the first character that is not the same. */
function excerpts(one: string, other: string): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const from = Math.max(0, at - 30);
  const cut = (text: string) => {
    const piece = text.slice(from, from + longest).trim();
    return `${from > 0 ? "…" : ""}${piece}${text.length > from + longest ? "…" : ""}`;
  };
  return `${cut(one)} on the source, ${cut(other)} on the target`;
}
