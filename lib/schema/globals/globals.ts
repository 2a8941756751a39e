/**
 * Reads the globals of a server that should be copied, with pg_dumpall or from the catalogs.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import type { Adaptation } from "../apply/adaptation.ts";
import type { DumpTool } from "../dump/dump_tool.ts";
import { bootstrapRole, canReadPasswords, readCommonSettings, readGlobals } from "./catalog.ts";
import { type GlobalObject, sortGlobals } from "./model.ts";
import { parseGlobals } from "./parse_globals.ts";
import { providerRole } from "./provider_roles.ts";
import { runTool, type ToolRunOptions } from "../dump/tool_run.ts";

/** What {@linkcode dumpGlobals} takes. */
export interface DumpGlobalsOptions {
  /** A session on any database of the source. */
  readonly session: Session;
  /** The program to read with. */
  readonly tool: DumpTool;
  /** The databases being copied: provider roles that own objects there are copied too. */
  readonly databases: readonly string[];
  /** Aborts the reading. */
  readonly signal?: AbortSignal | undefined;
  /** Called before pg_dumpall is run again. */
  readonly onRetry?: ToolRunOptions["onRetry"];
}

/** What {@linkcode dumpGlobals} returns. */
export interface Globals {
  /** Ordered: roles, memberships, common settings, tablespaces, parameter privileges. */
  readonly objects: readonly GlobalObject[];
  /** What was left out, and why. */
  readonly notes: readonly Adaptation[];
}

/**
 * Reads roles, memberships, settings, tablespaces and parameter privileges: with an installed tool
 * through `pg_dumpall --globals-only`, otherwise from the catalogs. Both give the same result.
 *
 * Predefined roles (`pg_*`) are omitted, and provider roles unless they own objects in the
 * databases.
 */
export async function dumpGlobals(options: DumpGlobalsOptions): Promise<Globals> {
  const { session, tool, databases } = options;
  const all = tool.kind === "native"
    ? await readWithTool(options, tool)
    : await readGlobals(session);
  const owners = await ownersIn(session, databases);
  const notes: Adaptation[] = [];
  const excluded = new Set<string>();
  for (const object of all) {
    if (object.kind !== "role" || owners.has(object.name)) continue;
    const known = providerRole(object.name);
    if (known === undefined) continue;
    excluded.add(object.name);
    notes.push({
      side: "source",
      object: `role ${object.name}`,
      message: `not copied: a role of ${known.provider} (${known.purpose})`,
    });
  }
  for (const object of all) {
    if (object.kind !== "membership" || excluded.has(object.member) || !excluded.has(object.role)) {
      continue;
    }
    notes.push({
      side: "source",
      object: `role ${object.member}`,
      message: `its membership in ${object.role} is not copied`,
      remedy: "if it needs the membership, grant it the corresponding role on the target",
    });
  }
  if (!await canReadPasswords(session)) {
    notes.push({
      side: "source",
      message: "the source does not allow reading role passwords, so new roles have none",
      remedy: "set them on the target: ALTER ROLE … PASSWORD …",
    });
  }
  return { objects: all.filter((object) => !concerns(object, excluded)), notes };
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
      // pg_dumpall ignores the one in the connection string
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
 * Roles that own the databases or objects in them; pg_shdepend records this for the whole server.
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

function concerns(object: GlobalObject, excluded: ReadonlySet<string>): boolean {
  switch (object.kind) {
    case "role":
      return excluded.has(object.name);
    case "membership":
      return excluded.has(object.role) || excluded.has(object.member);
    case "parameter-grant":
      return object.grantee !== undefined && excluded.has(object.grantee);
    default:
      return false;
  }
}
