import { type ComputedKind, type SearchPathUse } from "../../catalog/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { listNames, pass, warn } from "./check.ts";

/** The effects of values computed under a different search_path. */
const consequences: readonly {
  readonly id: string;
  readonly kinds: readonly ComputedKind[];
  readonly finding: string;
}[] = [
  {
    id: "search-path-rows",
    kinds: ["check constraint", "generated column", "partition key"],
    finding: "rows may fail to copy",
  },
  {
    id: "search-path-objects",
    kinds: ["index", "materialized view", "statistics"],
    finding: "objects may be set aside (exit code 11)",
  },
  { id: "search-path-triggers", kinds: ["trigger"], finding: "replication may stop" },
];

/**
 * The first version that builds indexes and refreshes materialized views under a safe search_path.
 */
const restrictsMaintenance = 17;

/** Under which conditions values are computed. */
export interface SearchPathOptions {
  readonly targetMajor: number;
  readonly forSync: boolean;
  /** Whether the copy uses the database's own path (`--restore-search-path own`). */
  readonly ownPath: boolean;
}

/**
 * Functions and queries that use unqualified names and are evaluated under an empty `search_path`.
 */
export function checkSearchPath(
  database: string,
  uses: readonly SearchPathUse[],
  options: SearchPathOptions,
): readonly Check[] {
  const about = (id: string) => ({ id, side: "source", database }) as const;
  const { ownPath, targetMajor, forSync } = options;
  const checks = consequences.flatMap(({ id, kinds, finding }) => {
    const found = uses.filter(({ kind }) => kinds.includes(kind));
    const isMaintenance = id === "search-path-objects";
    const optionHelps = id === "search-path-rows" ||
      isMaintenance && targetMajor < restrictsMaintenance;
    const matters = id === "search-path-triggers" ? forSync : forSync || !(ownPath && optionHelps);
    if (found.length === 0 || !matters) return [];
    const isLater = ownPath && optionHelps; // then only replication fails
    return [
      warn(about(id), {
        finding: `${
          isLater ? "replication may stop" : finding
        }, because these are computed under an empty search_path, as with pg_dump and psql: ${
          listNames(describeUses(found))
        }`,
        fix: remedy(found, { optionHelps: optionHelps && !ownPath, forSync }),
      }),
    ];
  });
  return checks.length > 0
    ? checks
    : [pass(about("search-path"), "no computed value depends on a search_path")];
}

/**
 * `generated column public.pages.slug calls public.slug(text), which names unaccent without a
 * schema`
 */
function describeUses(uses: readonly SearchPathUse[]): readonly string[] {
  return uses.map(({ kind, object, routine, names }) => {
    const all = names.map(({ name }) => name).join(", ");
    return routine === undefined
      ? `${kind} ${object} names ${all} without a schema in a string of its query`
      : `${kind} ${object} calls ${routine.signature}, which names ${all} without a schema`;
  });
}

function remedy(
  uses: readonly SearchPathUse[],
  { optionHelps, forSync }: { readonly optionHelps: boolean; readonly forSync: boolean },
): string {
  const routines = uses.flatMap(({ routine }) => routine ?? []);
  const alters = [...new Set(routines.map(({ alter }) => alter))];
  const ofExtensions = routines.some(({ ofExtension }) => ofExtension);
  const queries = [
    ...new Set(uses.filter(({ routine }) => routine === undefined).map(({ object }) => object)),
  ];
  const steps = [
    ...(alters.length === 0 ? [] : [`on the source: ${alters.join(" ")}`]),
    ...(ofExtensions
      ? ["(changes to members of an extension are not dumped: run it on the target as well)"]
      : []),
    ...(queries.length === 0
      ? []
      : [`recreate with qualified names in the string: ${queries.join(", ")}`]),
    ...(optionHelps
      ? [
        "or use --restore-search-path own, so that init computes under the database's own search_path" +
        (forSync ? " (replication does not: its workers always have an empty one)" : ""),
      ]
      : []),
  ];
  // statements end with a semicolon of their own
  return steps.reduce((all, step) => `${all}${all.endsWith(";") ? "" : ";"} ${step}`);
}
