/**
 * Finds objects that are computed with functions that rely on a `search_path`, from the catalogs,
 * without running any of them.
 *
 * @module
 */
import { quoteQualified, type TableName } from "../../core/internal.ts";
import { queryAnyText, type Session } from "../../postgres/internal.ts";
import {
  computedStatement,
  functionsStatement,
  namesStatement,
  queriesStatement,
} from "./search_path_sql.ts";
import { findNames, type UnqualifiedName, type UserNames } from "./unqualified_names.ts";

/** A kind of computed object. */
export type ComputedKind =
  /** Computed for every copied row. */
  | "check constraint"
  | "generated column"
  | "partition key"
  /** Computed when the object is created or filled. */
  | "index"
  | "materialized view"
  | "statistics"
  /** Run by replication only. */
  | "trigger";

/** An object computed with a function, or a query in a string literal, that relies on a path. */
export interface SearchPathUse {
  readonly kind: ComputedKind;
  /** `public.pages.slug` */
  readonly object: string;
  /** The table with its rows; undefined for domains. */
  readonly table: TableName | undefined;
  /**
   * The function that uses unqualified names; undefined for a string literal in the query of a
   * materialized view.
   */
  readonly routine: PathDependentFunction | undefined;
  readonly names: readonly UnqualifiedName[];
}

/** A function without its own search_path. */
export interface PathDependentFunction {
  /** `public.slug(text)`, quoted where needed. */
  readonly signature: string;
  /** The statement that sets one. */
  readonly alter: string;
  /** Whether it belongs to an extension: the change is then not dumped. */
  readonly ofExtension: boolean;
}

interface ComputedRow extends Record<string, unknown> {
  readonly kind: ComputedKind;
  readonly object: string;
  readonly schema: string | null;
  readonly name: string | null;
  readonly functions: string;
}

interface FunctionRow extends Record<string, unknown> {
  readonly oid: number | string;
  readonly schema: string;
  readonly name: string;
  readonly signature: string;
  readonly keyword: string;
  /** Null for a function whose body cannot rely on a path. */
  readonly body: string | null;
  readonly of_extension: boolean;
}

/**
 * Finds the objects. Runs only a few queries if nothing is computed with user-defined functions.
 * Reads only catalogs.
 */
export async function readSearchPathUse(session: Session): Promise<readonly SearchPathUse[]> {
  const major = session.majorVersion;
  const computed = await session.query<ComputedRow>(computedStatement(major));
  // bodies and literals may contain any bytes
  const queries = await queryAnyText<
    { object: string; schema: string; name: string; query: string }
  >(
    session,
    queriesStatement,
  );
  if (computed.length === 0 && queries.length === 0) return [];
  const names = await readNames(session);
  const functions = await queryAnyText<FunctionRow>(session, functionsStatement(major));
  const bodies = new FunctionBodies(functions, names);
  return [
    ...computed.flatMap(({ kind, object, schema, name, functions }) =>
      bodies.dependent(JSON.parse(functions) as readonly number[]).map((found): SearchPathUse => ({
        kind,
        object,
        table: schema === null || name === null ? undefined : { schema, name },
        ...found,
      }))
    ),
    ...queries.flatMap(({ object, schema, name, query }): readonly SearchPathUse[] => {
      const { unqualified } = findNames(query, names);
      return unqualified.length === 0 ? [] : [{
        kind: "materialized view",
        object,
        table: { schema, name },
        routine: undefined,
        names: unqualified,
      }];
    }),
  ];
}

class FunctionBodies {
  readonly #names: UserNames;
  readonly #byOid: ReadonlyMap<number, FunctionRow>;
  readonly #byName: ReadonlyMap<string, readonly FunctionRow[]>;

  constructor(functions: readonly FunctionRow[], names: UserNames) {
    this.#names = names;
    this.#byOid = new Map(functions.map((each) => [Number(each.oid), each]));
    this.#byName = Map.groupBy(functions, ({ schema, name }) => quoteQualified(schema, name));
  }

  /** The functions, and those they call, that rely on a path. */
  dependent(
    oids: readonly number[],
  ): readonly Required<Pick<SearchPathUse, "routine" | "names">>[] {
    const seen = new Set<FunctionRow>();
    const waiting = oids.flatMap((oid) => this.#byOid.get(oid) ?? []);
    const found: {
      readonly routine: PathDependentFunction;
      readonly names: readonly UnqualifiedName[];
    }[] = [];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (seen.has(next) || next.body === null) continue;
      seen.add(next);
      const { unqualified, calls } = findNames(next.body, this.#names);
      if (unqualified.length > 0) {
        found.push({ routine: describe(next, unqualified), names: unqualified });
      }
      // a path set on the caller applies to what it calls, too; until then both are reported
      for (const { schema, name } of calls) {
        waiting.push(...this.#byName.get(quoteQualified(schema, name)) ?? []);
      }
    }
    return found;
  }
}

function describe(
  { signature, keyword, of_extension }: FunctionRow,
  names: readonly UnqualifiedName[],
): PathDependentFunction {
  const schemas = [...new Set(names.flatMap((each) => each.schemas))];
  return {
    signature,
    alter: `ALTER ${keyword} ${signature} SET search_path = ${schemas.join(", ")};`,
    ofExtension: of_extension,
  };
}

async function readNames(session: Session): Promise<UserNames> {
  const rows = await session.query<{ kind: keyof UserNames; name: string; schemas: string }>(
    namesStatement,
  );
  const of = (kind: keyof UserNames) =>
    new Map(
      rows.filter((row) => row.kind === kind)
        .map(({ name, schemas }) => [name, JSON.parse(schemas) as readonly string[]]),
    );
  return {
    relations: of("relations"),
    functions: of("functions"),
    types: of("types"),
    operators: of("operators"),
  };
}
