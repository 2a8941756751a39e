/**
 * What the tool knows about a hosting provider. `docs/providers` names the sources.
 *
 * @module
 */

/** A known provider. */
export type ProviderId =
  | "aurora"
  | "rds"
  | "neon"
  | "cloud-sql"
  | "alloydb"
  | "azure"
  | "supabase"
  | "heroku"
  | "crunchy"
  | "digitalocean"
  | "aiven"
  | "timescale";

/** What a server of the provider has and others do not; any one of them is sufficient. */
export interface ProviderSigns {
  /** Names of its settings. */
  readonly setting?: RegExp;
  readonly roles?: readonly string[];
  readonly databases?: readonly string[];
  /** Functions in `pg_catalog`. */
  readonly functions?: readonly string[];
  /** Decides between several providers whose signs were found; never sufficient alone. */
  readonly host?: RegExp;
}

/** Roles that the provider creates for itself, which have no meaning on other servers. */
export interface RoleKind {
  /** Matches the role's name. */
  readonly pattern: RegExp;
  /** Its purpose. */
  readonly purpose: string;
}

/** A setting that needs a restart, and its new value. */
export interface SettingChange {
  readonly name: string;
  readonly value: number;
}

/** A provider's profile: data and remedies, without effects. */
export interface ProviderProfile {
  /** Undefined for servers without a known provider. */
  readonly id: ProviderId | undefined;
  /** Name for messages: `Amazon RDS`. */
  readonly name: string;
  readonly signs: ProviderSigns;
  /** Databases reserved for the provider: never copied. */
  readonly databases: readonly string[];
  /** Roles whose objects in a new database are not user objects. */
  readonly ownerRoles: readonly string[];
  /** Roles that are not copied unless they own objects. */
  readonly roleKinds: readonly RoleKind[];
  /** Roles that replace superuser or role attributes. */
  readonly grantingRoles: readonly string[];
  /** Whether the disk grows with the data. */
  readonly diskGrows: boolean;
  /** How to enable logical decoding. */
  readonly logicalDecoding: string;
  /** How to allow a role, already quoted, to create replication slots. */
  replicationGrant(role: string): string;
  /** How to change a setting that needs a restart. */
  changeSetting(change: SettingChange): string;
  /** How to connect without the pooler. */
  readonly directRoute: string;
  /** What the provider means for a migration from it, in a sentence. */
  readonly asSource: string;
  /** What the provider means for a migration to it, in a sentence. */
  readonly asTarget: string;
  /** What the provider means for the cutover, when it is the source. */
  readonly cutover: string;
}

/** What holds where a provider has nothing of its own. */
export const usualAnswers: Pick<
  ProviderProfile,
  "replicationGrant" | "changeSetting" | "directRoute" | "cutover"
> = {
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as a superuser`,
  changeSetting: ({ name, value }) => `set ${name} = ${value} in the provider's server settings`,
  directRoute: "connect directly to the server, without the pooler",
  cutover: "nothing particular is known",
};
