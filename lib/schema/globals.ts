/**
 * The globals of a server that are worth carrying over, by pg_dumpall or from the catalogs.
 *
 * @module
 */
import type { Session } from "../postgres/internal.ts";
import type { Adaptation } from "./adaptation.ts";
import type { DumpTool } from "./dump_tool.ts";
import {
  bootstrapRole,
  canReadPasswords,
  readCommonSettings,
  readGlobals,
} from "./globals_catalog.ts";
import { type GlobalObject, sortGlobals } from "./globals_model.ts";
import { parseGlobals } from "./globals_text.ts";
import { providerRole } from "./provider_roles.ts";
import { runTool, type ToolRunOptions } from "./tool_run.ts";

/** What {@linkcode dumpGlobals} takes. */
export interface DumpGlobalsOptions {
  /** A session on any database of the source. */
  readonly session: Session;
  /** By which to read. */
  readonly tool: DumpTool;
  /** The databases being copied: a provider's role that owns something there is carried over. */
  readonly databases: readonly string[];
  /** Ends the reading. */
  readonly signal?: AbortSignal | undefined;
  /** Told before pg_dumpall is run again. */
  readonly onRetry?: ToolRunOptions["onRetry"];
}

/** What {@linkcode dumpGlobals} gives. */
export interface Globals {
  /** In the order roles, memberships, common settings, tablespaces, parameter privileges. */
  readonly objects: readonly GlobalObject[];
  /** What was left out, and why. */
  readonly notes: readonly Adaptation[];
}

/**
 * Reads roles, memberships, settings, tablespaces and parameter privileges; with the native tool by
 * `pg_dumpall --globals-only`, else from the catalogs. Both give the same.
 *
 * Predefined roles (`pg_*`) are not in it; a provider's own roles neither, unless they own
 * something in the databases.
 */
export async function dumpGlobals(options: DumpGlobalsOptions): Promise<Globals> {
  const { session, tool, databases } = options;
  const all = tool.kind === "native"
    ? await readWithTool(options, tool)
    : await readGlobals(session);
  const owners = await ownersIn(session, databases);
  const notes: Adaptation[] = [];
  const left = new Set<string>();
  for (const object of all) {
    if (object.kind !== "role" || owners.has(object.name)) continue;
    const known = providerRole(object.name);
    if (known === undefined) continue;
    left.add(object.name);
    notes.push({
      side: "source",
      object: `role ${object.name}`,
      message: `left out: a role of ${known.provider} (${known.purpose})`,
    });
  }
  for (const object of all) {
    if (object.kind !== "membership" || left.has(object.member) || !left.has(object.role)) continue;
    notes.push({
      side: "source",
      object: `role ${object.member}`,
      message: `its membership in ${object.role} is left out`,
      remedy: "grant it what stands for that on the target, if it needs it",
    });
  }
  if (!await canReadPasswords(session)) {
    notes.push({
      side: "source",
      message: "the passwords of roles cannot be read here, so new roles have none",
      remedy: "set them on the target: ALTER ROLE … PASSWORD …",
    });
  }
  return { objects: all.filter((object) => !concerns(object, left)), notes };
}

async function readWithTool(
  { session, signal, onRetry }: DumpGlobalsOptions,
  tool: DumpTool & { readonly kind: "native" },
): Promise<readonly GlobalObject[]> {
  const text = await runTool({
    program: tool.pgDumpall,
    major: tool.major,
    args: [
      "--globals-only",
      // pg_dumpall looks past the one in the connection string
      `--database=${session.endpoint.database}`,
      "--encoding=UTF8",
      ...await canReadPasswords(session) ? [] : ["--no-role-passwords"],
    ],
    endpoint: session.endpoint,
    environment: tool.environment,
    signal,
    ...(onRetry === undefined ? {} : { onRetry }),
  });
  return sortGlobals([
    ...parseGlobals(text, await bootstrapRole(session)),
    ...await readCommonSettings(session),
  ]);
}

/**
 * Who owns databases or objects in them; dependencies are recorded for the whole server in one
 * catalog.
 */
async function ownersIn(
  session: Session,
  databases: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ name: string; database: string }>(`
    SELECT DISTINCT r.rolname AS name, d.datname AS database
      FROM pg_catalog.pg_shdepend AS s
      JOIN pg_catalog.pg_roles AS r ON r.oid = s.refobjid
      JOIN pg_catalog.pg_database AS d
        ON d.oid = s.dbid OR s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.oid = s.objid
     WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o'`);
  return new Set(
    rows.filter(({ database }) => databases.includes(database)).map(({ name }) => name),
  );
}

function concerns(object: GlobalObject, left: ReadonlySet<string>): boolean {
  switch (object.kind) {
    case "role":
      return left.has(object.name);
    case "membership":
      return left.has(object.role) || left.has(object.member);
    case "parameter-grant":
      return object.grantee !== undefined && left.has(object.grantee);
    default:
      return false;
  }
}
