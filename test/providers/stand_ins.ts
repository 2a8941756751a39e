/**
 * Servers arranged the way hosting providers arrange theirs: roles with the admin role's grants,
 * reserved roles, databases and schemas, event triggers, TLS, settings.
 *
 * @module
 */
import type { Cluster, PgMajor } from "../../lib/cluster/mod.ts";
import { CertificateAuthority } from "../support/certificates.ts";
import { create } from "../support/databases.ts";
import { exec } from "../support/sql.ts";
import { startTestCluster } from "../support/test_cluster.ts";

/** A provider that servers can be arranged like. */
export type StandInName =
  | "rds"
  | "cloud-sql"
  | "azure"
  | "neon"
  | "supabase"
  | "heroku"
  | "self-hosted";

/** How a provider arranges its servers. */
interface Arrangement {
  /** Run by the superuser in `postgres`; `admin` is the role that the customer gets. */
  readonly server: string;
  /** Databases reserved for the provider, and their owners; the customer cannot connect to them. */
  readonly databases?: Readonly<Record<string, string>>;
  /** Run by the superuser in each database of the customer. */
  readonly database?: string;
  /** Whether connections without TLS are rejected. */
  readonly tls?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether the customer gets one database and cannot create others. */
  readonly oneDatabase?: boolean;
}

/** The password of every role that can log in. */
const password = "stand-in";
const login = `LOGIN PASSWORD '${password}'`;

/** Roles that own reserved objects; `superuser` says which of them are superusers. */
function reserved(superuser: string, ...others: readonly string[]): string {
  return `CREATE ROLE ${superuser} SUPERUSER LOGIN;` +
    others.map((name) => `CREATE ROLE ${name} NOLOGIN;`).join("");
}

/** By provider; `docs/providers/README.md` has the sources. */
const arrangements: Readonly<Record<StandInName, Arrangement>> = {
  "rds": {
    server: `${reserved("rdsadmin", "rds_superuser", "rds_replication", "rds_password")}
      GRANT pg_monitor, pg_signal_backend, pg_create_subscription, rds_replication, rds_password
         TO rds_superuser WITH ADMIN OPTION;
      CREATE ROLE admin ${login} CREATEDB CREATEROLE REPLICATION;
      GRANT rds_superuser TO admin;
      GRANT SET ON PARAMETER session_replication_role TO rds_superuser;`,
    databases: { rdsadmin: "rdsadmin" },
    tls: true,
  },
  "cloud-sql": {
    server: `${reserved("cloudsqladmin", "cloudsqlsuperuser", "cloudsqlagent")}
      GRANT pg_monitor, pg_signal_backend, pg_create_subscription
         TO cloudsqlsuperuser WITH ADMIN OPTION;
      CREATE ROLE admin ${login} CREATEDB CREATEROLE REPLICATION;
      GRANT cloudsqlsuperuser TO admin;`,
    databases: { cloudsqladmin: "cloudsqladmin" },
  },
  "azure": {
    server: `${reserved("azuresu", "azure_pg_admin")}
      GRANT pg_monitor, pg_signal_backend, pg_read_all_data, pg_write_all_data,
            pg_create_subscription TO azure_pg_admin WITH ADMIN OPTION;
      CREATE ROLE admin ${login} CREATEDB CREATEROLE REPLICATION BYPASSRLS;
      GRANT azure_pg_admin TO admin;`,
    databases: { azure_maintenance: "azuresu", azure_sys: "azuresu" },
    tls: true,
  },
  "neon": {
    server: `${reserved("cloud_admin")}
      CREATE ROLE neon_superuser NOLOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
      GRANT pg_read_all_data, pg_write_all_data, pg_monitor, pg_create_subscription
         TO neon_superuser WITH ADMIN OPTION;
      CREATE ROLE admin ${login} CREATEDB CREATEROLE REPLICATION BYPASSRLS;
      GRANT neon_superuser TO admin;`,
    tls: true,
  },
  "supabase": {
    server: `${reserved("supabase_admin", "supabase_auth_admin", "supabase_storage_admin")}
      CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN;
      CREATE ROLE service_role NOLOGIN BYPASSRLS;
      CREATE ROLE admin ${login} CREATEDB CREATEROLE REPLICATION BYPASSRLS;
      GRANT anon, authenticated, service_role TO admin WITH ADMIN OPTION;
      GRANT pg_monitor, pg_read_all_data, pg_signal_backend, pg_create_subscription TO admin;`,
    database: `
      CREATE SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO PUBLIC;
      CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin;
      CREATE SCHEMA storage AUTHORIZATION supabase_storage_admin;
      CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
      ALTER TABLE auth.users OWNER TO supabase_auth_admin;
      GRANT USAGE ON SCHEMA auth, storage TO admin;
      GRANT ALL ON auth.users TO admin;
      ALTER SCHEMA extensions OWNER TO supabase_admin;
      CREATE FUNCTION extensions.pgrst_ddl_watch() RETURNS event_trigger LANGUAGE plpgsql
          AS 'BEGIN PERFORM pg_notify(''pgrst'', ''reload schema''); END';
      ALTER FUNCTION extensions.pgrst_ddl_watch() OWNER TO supabase_admin;
      CREATE EVENT TRIGGER pgrst_ddl_watch ON ddl_command_end
          EXECUTE FUNCTION extensions.pgrst_ddl_watch();
      ALTER EVENT TRIGGER pgrst_ddl_watch OWNER TO supabase_admin;`,
    oneDatabase: true,
  },
  "heroku": {
    server: `${reserved("heroku_admin")}
      CREATE ROLE admin ${login} CONNECTION LIMIT 20;`,
    database: `CREATE SCHEMA heroku_ext; ALTER SCHEMA heroku_ext OWNER TO heroku_admin;
      GRANT USAGE ON SCHEMA heroku_ext TO PUBLIC;`,
    tls: true,
    settings: { wal_level: "replica" },
    oneDatabase: true,
  },
  "self-hosted": { server: `CREATE ROLE admin ${login} SUPERUSER;` },
};

/** A server arranged like a provider's. States: running → disposed. */
export class StandIn implements AsyncDisposable {
  readonly name: StandInName;
  readonly cluster: Cluster;
  readonly #arrangement: Arrangement;

  private constructor(name: StandInName, cluster: Cluster) {
    this.name = name;
    this.cluster = cluster;
    this.#arrangement = arrangements[name];
  }

  /** Starts a server of a version from 16. */
  static async start(name: StandInName, major: PgMajor): Promise<StandIn> {
    const { server, databases = {}, settings = {}, tls = false } = arrangements[name];
    const authority = tls ? await CertificateAuthority.create() : undefined;
    const cluster = await startTestCluster({
      major,
      password: "superuser",
      settings,
      ...(authority === undefined ? {} : {
        tls: { ...await authority.server(), caPem: authority.certPem },
        hba: [
          "local all all trust",
          "hostnossl all postgres all scram-sha-256", // the test itself, and nobody else
          "hostssl all all all scram-sha-256",
          "hostssl replication all all scram-sha-256",
        ],
      }),
    });
    await exec(cluster.url(), server);
    for (const [database, owner] of Object.entries(databases)) {
      await create(cluster, database, `OWNER ${owner}`);
      await exec(cluster.url(), `REVOKE CONNECT ON DATABASE ${database} FROM PUBLIC`);
    }
    return new StandIn(name, cluster);
  }

  /** Whether the customer can only use the database that exists. */
  get hasOneDatabase(): boolean {
    return this.#arrangement.oneDatabase ?? false;
  }

  /** Creates a database of the customer. */
  async createDatabase(name: string): Promise<void> {
    await create(this.cluster, name, "OWNER admin");
    const { database } = this.#arrangement;
    if (database !== undefined) await exec(this.cluster.url({ database: name }), database);
  }

  /** The customer's URL. */
  url(database: string): string {
    return this.cluster.url({
      database,
      user: "admin",
      password,
      params: this.#arrangement.tls ? { sslmode: "require" } : {},
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}
