/**
 * Properties introduced in later versions. Pure.
 *
 * @module
 */
import type { StructureObject } from "./model.ts";

const versions: Readonly<Record<string, number>> = {
  "column compression": 14,
  "sequence unlogged": 15,
  "type multirange": 14,
};

/** The major version that introduced a property; undefined if all supported versions have it. */
export function introducedIn(
  { kind, facts }: StructureObject,
  property: string,
): number | undefined {
  if (property === "access method" && facts.kind === "partitioned table") return 17;
  const key = `${kind} ${property}`;
  return Object.hasOwn(versions, key) ? versions[key] : undefined;
}
