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
  summariseLargeObjects,
  type Table,
  type TableAccess,
} from "../../catalog/internal.ts";
import type { HostPort, Session } from "../../postgres/internal.ts";

/** What is known of a server. */
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

/** Transactions are worth telling about from this age on. */
export const longTransactionSeconds = 300;

/** Reads what both servers have in common to be asked. */
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

/** What only the target is asked. */
export interface TargetOffer {
  readonly extensions: readonly AvailableExtension[];
  readonly locales: LocaleFacts;
}

/** Reads what the target has to offer to databases yet to be made. */
export async function readTargetOffer(session: Session): Promise<TargetOffer> {
  const [extensions, locales] = await Promise.all([
    listAvailableExtensions(session),
    readLocales(session),
  ]);
  return { extensions, locales };
}

/** What is in a database of the source. */
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
    summariseLargeObjects(session),
    listExtensions(session),
    readSpecialObjects(session),
  ]);
  return { tables, access, sequences, largeObjects, extensions, special };
}

/** What is in a database of the target that exists already. */
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
