/**
 * Which types look the same in the binary format of COPY on every server.
 *
 * @module
 */

/** What a type is made of. */
export interface TypeFacts {
  readonly name: string;
  /** `pg_type.typtype`. */
  readonly kind: string;
  readonly isArray: boolean;
  /** Whether it has send and receive functions. */
  readonly hasBinaryForm: boolean;
  /**
   * Base type of a domain, element of an array, subtype of a range, attributes of a composite:
   * their OIDs.
   */
  readonly parts: readonly number[];
}

/** OIDs below this are assigned by hand and the same in all versions. */
const firstGeneratedOid = 10_000;

/** Built-in types whose binary form is an OID, which means another object on another server. */
const referenceTypes: ReadonlySet<string> = new Set([
  "regclass",
  "regcollation",
  "regconfig",
  "regdatabase",
  "regdictionary",
  "regnamespace",
  "regoper",
  "regoperator",
  "regproc",
  "regprocedure",
  "regrole",
  "regtype",
]);

/**
 * Whether a type's binary form is independent of the server: built in, or made of such types
 * without its own OIDs showing.
 *
 * Arrays and composites carry the OIDs of their parts, so these must be built in themselves; a
 * domain or range carries none. An enum is its label. Types of extensions may change their form
 * with their version and do not count.
 */
export function hasPortableBinaryForm(
  oid: number,
  types: ReadonlyMap<number, TypeFacts>,
): boolean {
  const type = types.get(oid);
  if (type === undefined || !type.hasBinaryForm) return false;
  const [part] = type.parts;
  if (type.isArray) return part !== undefined && isPortableBuiltIn(part, types);
  switch (type.kind) {
    case "d":
    case "r":
      return isPortableBuiltIn(oid, types) ||
        part !== undefined && hasPortableBinaryForm(part, types);
    case "c":
      return type.parts.every((attribute) => isPortableBuiltIn(attribute, types));
    case "e":
      return true;
    default:
      return isPortableBuiltIn(oid, types);
  }
}

function isPortableBuiltIn(oid: number, types: ReadonlyMap<number, TypeFacts>): boolean {
  const type = types.get(oid);
  if (type === undefined || oid >= firstGeneratedOid || !type.hasBinaryForm) return false;
  const [element] = type.parts;
  if (type.isArray) return element !== undefined && isPortableBuiltIn(element, types);
  return !referenceTypes.has(type.name);
}
