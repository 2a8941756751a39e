/**
 * Which pg_dump reads the schema: an installed one when it is new enough for both servers, else the
 * embedded one.
 *
 * @module
 */
import { ExitCode, ReplicatorError } from "../core/internal.ts";
import { embeddedDumpMajor } from "./embedded_dump.ts";
import { removeAbandonedSecrets } from "./secret_folder.ts";
import { findInstalledTools, type InstalledTools, type ToolSearch } from "./native_tools.ts";

/** The programs that give schema and globals. */
export type DumpTool =
  & {
    /**
     * For people: `pg_dump 16.4`, `embedded pg_dump 18 (pg_dump 15.18 is older than the source,
     * 17)`.
     */
    readonly description: string;
    readonly major: number;
  }
  & (
    | {
      readonly kind: "native";
      readonly pgDump: string;
      readonly pgDumpall: string;
      readonly environment: ToolSearch["environment"];
    }
    | { readonly kind: "embedded" }
  );

/** What the user wants of the programs. */
export interface ToolPreference extends ToolSearch {
  /** `auto`: installed ones when new enough, else the embedded ones. */
  readonly dump: "auto" | "native" | "embedded";
}

/** Major versions of the two servers. */
export interface ServerMajors {
  /** Of the source: 15. */
  readonly sourceMajor: number;
  /** Of the target: 18. */
  readonly targetMajor: number;
  /**
   * First major version whose libpq can be told what the source's URL demands, see `minLibpqMajor`.
   */
  readonly libpqMajor?: number;
}

/**
 * Looks for installed programs and chooses; removes what a killed process gave to such programs and
 * left behind. Permissions as for {@linkcode findInstalledTools}.
 */
export async function findDumpTool(
  majors: ServerMajors,
  preference: ToolPreference,
): Promise<DumpTool> {
  await removeAbandonedSecrets();
  const installed = preference.dump === "embedded" ? [] : await findInstalledTools(preference);
  return chooseDumpTool({ ...majors, preference, installed });
}

/**
 * pg_dump from this version on locks tables many at a time; before, each table costs it a round
 * trip.
 */
const locksTogether = 16;
/** Round trips of the embedded pg_dump, however many tables there are. */
const embeddedRoundTrips = 65;
/** What its start and its slower code may cost more. */
const embeddedExtraMs = 1_000;

/**
 * The embedded pg_dump in place of an old installed one, where that would spend its time asking a
 * far server about each table. With 2,000 tables 40 ms away: 3.5 s in place of 110.
 */
export function toolForDistance(
  tool: DumpTool,
  { sourceMajor, preference, tables, roundTripMs }: {
    readonly sourceMajor: number;
    readonly preference: Pick<ToolPreference, "dump">;
    /** Tables of the largest database. */
    readonly tables: number;
    readonly roundTripMs: number;
  },
): DumpTool {
  const old = tool.kind === "native" && tool.major < locksTogether;
  if (!old || preference.dump !== "auto" || sourceMajor > embeddedDumpMajor) return tool;
  if ((tables - embeddedRoundTrips) * roundTripMs < embeddedExtraMs) return tool;
  return {
    kind: "embedded",
    major: embeddedDumpMajor,
    description: `embedded pg_dump ${embeddedDumpMajor} (${tool.description} asks for each table ` +
      `by itself, and the source is ${Math.round(roundTripMs)} ms away)`,
  };
}

/**
 * Chooses among what is installed. pg_dump refuses a server newer than itself, and one older than
 * the target may write what the target no longer understands.
 *
 * @throws ReplicatorError (prerequisite) when nothing usable is there
 */
export function chooseDumpTool(
  { sourceMajor, targetMajor, libpqMajor = 0, preference, installed }: ServerMajors & {
    readonly preference: ToolPreference;
    /** As {@linkcode findInstalledTools} orders them. */
    readonly installed: readonly InstalledTools[];
  },
): DumpTool {
  const needed = Math.max(sourceMajor, targetMajor, libpqMajor);
  const newest = needed === sourceMajor
    ? "the source"
    : needed === targetMajor
    ? "the target"
    : "the parameters of the source's URL";
  const usable = installed.find(({ major }) => major >= needed);
  if (preference.dump !== "embedded" && usable !== undefined) {
    const { pgDump, pgDumpall, major, version } = usable;
    const { environment } = preference;
    return {
      kind: "native",
      pgDump,
      pgDumpall,
      major,
      environment,
      description: `pg_dump ${version}`,
    };
  }
  const [best] = [...installed].sort((a, b) => b.major - a.major);
  const found = best === undefined
    ? "no pg_dump is installed"
    : `pg_dump ${best.version} is older than ${newest}, ${needed}`;
  if (preference.dump === "native") {
    throw new ReplicatorError(`an installed pg_dump is wanted, but ${found}`, {
      exitCode: ExitCode.prerequisite,
      details: installed.map(({ pgDump, version }) => `Found: ${pgDump} (${version})`),
      remedy:
        `install the client programs of PostgreSQL ${needed} or newer and name their folder, or let the embedded pg_dump do it`,
    });
  }
  if (sourceMajor > embeddedDumpMajor) {
    throw new ReplicatorError(
      `no pg_dump is new enough for the source, ${sourceMajor}: the embedded one is ${embeddedDumpMajor}, and ${found}`,
      {
        exitCode: ExitCode.prerequisite,
        remedy:
          `install the client programs of PostgreSQL ${needed} or newer and put them on the PATH`,
      },
    );
  }
  const why = preference.dump === "embedded" ? "chosen by --dump-tool" : found;
  return {
    kind: "embedded",
    major: embeddedDumpMajor,
    description: `embedded pg_dump ${embeddedDumpMajor} (${why})`,
  };
}
