/**
 * Chooses the pg_dump that reads the schema: an installed one if it is new enough for both servers,
 * otherwise the embedded one.
 *
 * @module
 */
import type { DumpToolChoice } from "../../config/internal.ts";
import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import { embeddedDumpMajor } from "./embedded_dump.ts";
import { removeAbandonedSecrets } from "./secret_folder.ts";
import { findInstalledTools, type InstalledTools, type ToolSearch } from "./native_tools.ts";

/** The programs that dump schema and globals. */
export type DumpTool =
  & {
    /**
     * For messages: `pg_dump 16.4`, `embedded pg_dump 18 (pg_dump 15.18 is older than the source,
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

/** The user's choice of programs. */
export interface ToolPreference extends ToolSearch {
  /** `auto`: installed programs if new enough, otherwise the embedded ones. */
  readonly dump: DumpToolChoice;
}

/** Major versions of the two servers. */
export interface ServerMajors {
  /** Of the source: 15. */
  readonly sourceMajor: number;
  /** Of the target: 18. */
  readonly targetMajor: number;
  /**
   * First major version whose libpq supports the parameters of the source's URL, see
   * `minLibpqMajor`.
   *
   * @default 0
   */
  readonly libpqMajor?: number;
}

/**
 * Finds installed programs and chooses; removes secret files left behind by killed processes.
 * Requires the permissions of {@linkcode findInstalledTools}.
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
 * From this version on pg_dump locks many tables at once; earlier ones need a round trip per table.
 */
const locksTogether = 16;
/** Round trips of the embedded pg_dump, however many tables there are. */
const embeddedRoundTrips = 65;
/** Additional time for its start and slower code. */
const embeddedExtraMs = 1_000;
/** Additional time for each table: 5,000 tables took 7.5 s on loopback, and pg_dump 15 3.6 s. */
const embeddedExtraMsPerTable = 0.8;

/**
 * Replaces an old installed pg_dump by the embedded one where round trips per table to a distant
 * server would dominate. With 2,000 tables 40 ms away: 3.5 s instead of 110 s.
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
  const extraMs = embeddedExtraMs + tables * embeddedExtraMsPerTable;
  if ((tables - embeddedRoundTrips) * roundTripMs < extraMs) return tool;
  return {
    kind: "embedded",
    major: embeddedDumpMajor,
    description: `embedded pg_dump ${embeddedDumpMajor} (${tool.description} locks each table ` +
      `separately, and the source is ${Math.round(roundTripMs)} ms away)`,
  };
}

/**
 * Chooses among the installed programs. pg_dump refuses servers newer than itself, and one older
 * than the target may write syntax that the target no longer accepts.
 *
 * @throws ReplicatorError (prerequisite) when no program is usable
 */
export function chooseDumpTool(
  { sourceMajor, targetMajor, libpqMajor = 0, preference, installed }: ServerMajors & {
    readonly preference: ToolPreference;
    /** In the order of {@linkcode findInstalledTools}. */
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
    throw new ReplicatorError(`--dump-tool native requires an installed pg_dump, but ${found}`, {
      exitCode: ExitCode.prerequisite,
      details: installed.map(({ pgDump, version }) => `Found: ${pgDump} (${version})`),
      remedy:
        `install the client programs of PostgreSQL ${needed} or newer and set --pg-bin to their directory, or use the embedded pg_dump`,
    });
  }
  if (sourceMajor > embeddedDumpMajor) {
    throw new ReplicatorError(
      `no pg_dump is new enough for the source, PostgreSQL ${sourceMajor}: the embedded one is ${embeddedDumpMajor}, and ${found}`,
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
