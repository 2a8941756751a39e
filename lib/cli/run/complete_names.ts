import { pause } from "../../core/internal.ts";
import { listDatabases, listTables, offeredDatabases } from "../../catalog/internal.ts";
import {
  type Endpoint,
  openSession,
  resolveEndpoint,
  withDatabase,
} from "../../postgres/internal.ts";
import type { NameKind } from "../grammar/name_kinds.ts";
import { type Environment, resolveEnvironmentOf } from "../options/environment.ts";

/** A shell that waits longer seems to hang. */
const timeLimitMs = 2_000;

/**
 * Names on the server of `SOURCE_URL` that begin with `prefix`, for a shell. Tables are written
 * `database.schema.table`; until `prefix` names the database, `database.` is offered.
 *
 * Never fails and never says why there are none: the shell is about to print a prompt. Names that
 * would have to be quoted are left out, and so nothing that a terminal would obey is printed.
 */
export async function completeNames(
  { kind, prefix }: { readonly kind: NameKind; readonly prefix: string },
  environment: Environment,
): Promise<readonly string[]> {
  const signal = AbortSignal.timeout(timeLimitMs);
  try {
    const url = environment["SOURCE_URL"];
    if (url === undefined || url === "") return [];
    return await Promise.race([
      readNames({ kind, prefix, url, environment, signal }),
      pause(timeLimitMs, signal).then(() => []),
    ]);
  } catch {
    // unreachable, refused, or a wrong URL: the next command says so
    return [];
  }
}

async function readNames(
  { kind, prefix, url, environment, signal }: {
    readonly kind: NameKind;
    readonly prefix: string;
    readonly url: string;
    readonly environment: Environment;
    readonly signal: AbortSignal;
  },
): Promise<readonly string[]> {
  const source = await resolveEndpoint(url, {
    side: "source",
    path: "SOURCE_URL",
    resolveEnvironment: resolveEnvironmentOf(environment, () => {}),
  });
  const [database, ...rest] = prefix.split(".");
  const names = kind === "tables" && rest.length > 0 && database !== undefined
    ? await listPlainTables(source, { database, signal })
    : (await listPlainDatabases(source, signal)).map((name) =>
      kind === "tables" ? `${name}.` : name
    );
  return names.filter((name) => name.startsWith(prefix));
}

async function listPlainDatabases(
  source: Endpoint,
  signal: AbortSignal,
): Promise<readonly string[]> {
  await using session = await openSession(source, { signal });
  return offeredDatabases(await listDatabases(session)).map(({ name }) => name).filter(isPlain);
}

async function listPlainTables(
  source: Endpoint,
  { database, signal }: { readonly database: string; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  await using session = await openSession(withDatabase(source, database), { signal });
  return (await listTables(session)).filter(({ schema, name }) => isPlain(schema) && isPlain(name))
    .map(({ schema, name }) => `${database}.${schema}.${name}`);
}

/** Whether a name can be typed into a shell and into a pattern as it is. */
function isPlain(name: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(name);
}
