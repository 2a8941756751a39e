import {
  type AvailableExtension,
  type DatabasePrivileges,
  type Extension,
  type LargeObjectSummary,
  listAvailableExtensions,
  listExtensions,
  listRoles,
  listSequences,
  listTableAccess,
  listTables,
  listTablespaces,
  type LocaleFacts,
  type Provider,
  readActivity,
  readDatabasePrivileges,
  readLocales,
  readProvider,
  readRolePrivileges,
  readSpecialObjects,
  type RoleAttributes,
  type RolePrivileges,
  type Sequence,
  type ServerActivity,
  type SpecialObjects,
  summarizeLargeObjects,
  type Table,
  type TableAccess,
} from "../../catalog/internal.ts";
import type { HostPort, Session } from "../../postgres/internal.ts";

/** Facts about a server. */
export interface ServerFacts {
  readonly serverVersion: number;
  readonly majorVersion: number;
  readonly hosts: readonly HostPort[];
  readonly provider: Provider | undefined;
  readonly role: RolePrivileges;
  readonly activity: ServerActivity;
  readonly roles: readonly RoleAttributes[];
  readonly tablespaces: readonly string[];
}

/** Transactions of this age are reported. */
const longTransactionSeconds = 300;

/** Reads the facts that both servers have. */
export async function readServer(session: Session): Promise<ServerFacts> {
  const [provider, role, activity, roles, tablespaces] = await Promise.all([
    readProvider(session),
    readRolePrivileges(session),
    readActivity(session, { longAfterSeconds: longTransactionSeconds }),
    listRoles(session),
    listTablespaces(session),
  ]);
  return {
    serverVersion: session.serverVersion,
    majorVersion: session.majorVersion,
    hosts: session.endpoint.hosts,
    provider,
    role,
    activity,
    roles,
    tablespaces,
  };
}

/** Facts about the target only. */
export interface TargetOffer {
  readonly extensions: readonly AvailableExtension[];
  readonly locales: LocaleFacts;
}

/** Reads what the target offers to new databases. */
export async function readTargetOffer(session: Session): Promise<TargetOffer> {
  const [extensions, locales] = await Promise.all([
    listAvailableExtensions(session),
    readLocales(session),
  ]);
  return { extensions, locales };
}

/** Contents of a database of the source. */
export interface SourceDatabaseFacts {
  readonly tables: readonly Table[];
  readonly access: readonly TableAccess[];
  readonly sequences: readonly Sequence[];
  readonly largeObjects: LargeObjectSummary;
  readonly extensions: readonly Extension[];
  readonly special: SpecialObjects;
}

/** Reads a database of the source. */
export async function readSourceDatabase(session: Session): Promise<SourceDatabaseFacts> {
  const [tables, access, sequences, largeObjects, extensions, special] = await Promise.all([
    listTables(session),
    listTableAccess(session),
    listSequences(session),
    summarizeLargeObjects(session),
    listExtensions(session),
    readSpecialObjects(session),
  ]);
  return { tables, access, sequences, largeObjects, extensions, special };
}

/** Contents of an existing database of the target. */
export interface TargetDatabaseFacts {
  readonly privileges: DatabasePrivileges;
  readonly special: SpecialObjects;
}

/** Reads a database of the target. */
export async function readTargetDatabase(session: Session): Promise<TargetDatabaseFacts> {
  const [privileges, special] = await Promise.all([
    readDatabasePrivileges(session),
    readSpecialObjects(session),
  ]);
  return { privileges, special };
}
