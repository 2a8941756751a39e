/**
 * Compares two structures, object by object and property by property. Pure.
 *
 * @module
 */
import { maySpellTheSame, sameSql } from "./definitions.ts";
import { diffColumnOrder } from "./diff_columns.ts";
import { diffGrants } from "./diff_grants.ts";
import { changeOf, differenceOf, type FoundDifference, type ObjectPair } from "./found.ts";
import type { FactValue, Structure, StructureObject } from "./model.ts";
import { objectKey } from "./model.ts";
import { tokensOf, unquoted } from "./normal_form.ts";
import { introducedIn } from "./versions.ts";

/**
 * A definition that cannot be compared reliably because servers before 14 print it differently.
 */
export interface DoubtfulDefinition extends ObjectPair {
  readonly property: string;
}

/** The result of {@linkcode diffStructure}. */
export interface StructureDiff {
  readonly found: readonly FoundDifference[];
  readonly doubtful: readonly DoubtfulDefinition[];
  /** Number of objects by section. */
  readonly compared: ReadonlyMap<string, number>;
}

/** Facts that only help to identify an object. */
const identifyingFacts: ReadonlySet<string> = new Set(["signature", "place"]);

/** Compares the objects of two structures. */
export function diffStructure(source: Structure, target: Structure): StructureDiff {
  const found: FoundDifference[] = [];
  const doubtful: DoubtfulDefinition[] = [];
  const compared = new Map<string, number>();
  const versions = { source: source.majorVersion, target: target.majorVersion };
  const all = new Map([...source.objects, ...target.objects]);
  for (const [key, { section }] of all) {
    compared.set(section, (compared.get(section) ?? 0) + 1);
    const [one, other] = [source.objects.get(key), target.objects.get(key)];
    if (one !== undefined && other !== undefined) {
      const diff = diffObject({ source: one, target: other }, versions);
      found.push(...diff.found);
      doubtful.push(...diff.doubtful);
      continue;
    }
    const [object, structure, lacking] = one === undefined
      ? [other!, target, source] as const
      : [one, source, target] as const;
    if (!comparable(object, lacking) || isPartOfMissing(object, structure, lacking)) continue;
    found.push({
      source: one,
      target: other,
      difference: differenceOf(object, {
        change: one === undefined ? "extra" : "missing",
        message: one === undefined ? "exists only on the target" : "is missing on the target",
      }),
    });
  }
  return { found: [...found, ...diffColumnOrder(source, target)], doubtful, compared };
}

/**
 * Servers before 18 have no catalog entries for NOT NULL constraints; they are then compared as
 * properties of columns.
 */
function comparable({ facts }: StructureObject, lacking: Structure): boolean {
  return facts.kind !== "not null" || lacking.majorVersion >= 18;
}

/** A missing object is reported once, without its parts; an index belongs to its constraint. */
function isPartOfMissing(
  object: StructureObject,
  structure: Structure,
  lacking: Structure,
): boolean {
  return wholesOf(object).some((whole) => {
    const key = objectKey(whole);
    return structure.objects.has(key) && !lacking.objects.has(key);
  });
}

function wholesOf(object: StructureObject): readonly Parameters<typeof objectKey>[0][] {
  const { kind, schema, parent, name } = object;
  const wholes: Parameters<typeof objectKey>[0][] = [];
  if (schema !== undefined) {
    wholes.push({ kind: "schema", schema: undefined, parent: undefined, name: schema });
    if (parent !== undefined) {
      wholes.push({ kind: "table", schema, parent: undefined, name: parent });
      wholes.push({ kind: "type", schema, parent: undefined, name: parent });
    }
  }
  if (kind === "index") wholes.push({ kind: "constraint", schema, parent, name });
  return wholes;
}

function diffObject(
  pair: ObjectPair,
  versions: { readonly source: number; readonly target: number },
): { readonly found: FoundDifference[]; readonly doubtful: DoubtfulDefinition[] } {
  const { source, target } = pair;
  const found: FoundDifference[] = [];
  const doubtful: DoubtfulDefinition[] = [];
  const changed = (property: string, one: FactValue | undefined, other: FactValue | undefined) =>
    found.push({ ...pair, difference: changeOf(pair, { property, source: one, target: other }) });

  if (source.facts.kind !== target.facts.kind) {
    // everything else differs as a consequence
    changed("kind", source.facts.kind, target.facts.kind);
    return { found, doubtful };
  }
  for (const property of propertiesOf(source.facts, target.facts)) {
    const [one, other] = [source.facts[property], target.facts[property]];
    // skip properties that the source's version does not have
    const known = versions.source >= (introducedIn(source, property) ?? 0);
    const isSame = sameValue(one, other) ||
      versions.source !== versions.target && sameNames(property, one, other);
    if (known && !identifyingFacts.has(property) && !isSame) {
      changed(property, one, other);
    }
  }
  for (const property of propertiesOf(source.definitions, target.definitions)) {
    const [one, other] = [source.definitions[property], target.definitions[property]];
    if (one !== undefined && other !== undefined) {
      const printed = [
        { text: one, majorVersion: versions.source },
        { text: other, majorVersion: versions.target },
      ] as const;
      if (sameSql(...printed)) continue;
      if (maySpellTheSame(...printed)) {
        doubtful.push({ ...pair, property });
        continue;
      }
    }
    changed(property, one, other);
  }
  for (const property of propertiesOf(source.sets, target.sets)) {
    found.push(...diffSet(pair, property));
  }
  if (source.owner !== target.owner) changed("owner", source.owner, target.owner);
  if (source.comment !== target.comment) changed("comment", source.comment, target.comment);
  found.push(...diffGrants(pair, versions));
  return { found, doubtful };
}

function propertiesOf(one: object, other: object): ReadonlySet<string> {
  return new Set([...Object.keys(one), ...Object.keys(other)]);
}

function sameValue(one: FactValue | undefined, other: FactValue | undefined): boolean {
  return JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
}

/** Facts that are not names, where quotes are significant. */
const literalFacts: ReadonlySet<string> = new Set(["body", "library", "value", "label"]);

/** Whether names differ only in quoting, since each version quotes its own keywords. */
function sameNames(
  property: string,
  one: FactValue | undefined,
  other: FactValue | undefined,
): boolean {
  if (typeof one !== "string" || typeof other !== "string" || literalFacts.has(property)) {
    return false;
  }
  const [a, b] = [one, other].map((text) => tokensOf(text).map(unquoted).join(" "));
  return a === b;
}

/** Options that may contain secrets: their values are compared but not shown. */
const secretOption = /pass|secret|token|key|credential/i;

function diffSet(pair: ObjectPair, property: string): readonly FoundDifference[] {
  const [one, other] = [pair.source.sets[property] ?? [], pair.target.sets[property] ?? []];
  const hidden = pair.source.kind === "user mapping";
  const shown = (member: string) => {
    const [name = "", ...value] = member.split("=");
    return value.length > 0 && (hidden || secretOption.test(name)) ? `${name}=…` : member;
  };
  const missing = one.filter((member) => !other.includes(member)).map(shown);
  const extra = other.filter((member) => !one.includes(member)).map(shown);
  if (missing.length === 0 && extra.length === 0) return [];
  const words = [
    ...missing.length === 0 ? [] : [`${missing.join(", ")} only on the source`],
    ...extra.length === 0 ? [] : [`${extra.join(", ")} only on the target`],
  ];
  return [{
    ...pair,
    difference: differenceOf(pair.source, {
      change: "changed",
      property,
      message: `${property}: ${words.join(", ")}`,
      ...(one.length === 0 ? {} : { source: one.map(shown).join(", ") }),
      ...(other.length === 0 ? {} : { target: other.map(shown).join(", ") }),
    }),
  }];
}
