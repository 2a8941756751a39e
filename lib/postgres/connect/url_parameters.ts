/**
 * All connection parameters of libpq and how they are handled: honored, without effect, or
 * rejected.
 *
 * A parameter that would protect the connection but is not supported is rejected before anything is
 * sent, as is an unknown one.
 *
 * Source: PostgreSQL documentation, "34.1.2. Parameter Key Words" and "34.15. Environment
 * Variables".
 *
 * @module
 */

interface ParameterRule {
  /** Its environment variable. */
  readonly variable?: string;
  /** Why it is rejected: always, or (as a function) for some values. */
  readonly refused?: string | ((value: string) => string | undefined);
}

const noKerberos = "GSSAPI (Kerberos) is not supported; use scram-sha-256 or a client certificate";
const noRevocationLists =
  "certificate revocation lists are not supported; remove it, or connect through a TLS proxy that checks them";
const noServiceFiles = "service files are not supported; put the parameters into the URL";
const noOauth = "OAuth is not supported; use scram-sha-256 or a client certificate";
const prismaOnly = "this is a parameter of Prisma, not of PostgreSQL; remove it";

function oneOf(...values: readonly string[]) {
  return (value: string) =>
    values.includes(value) ? undefined : `must be one of ${values.join(", ")}`;
}

function except(values: readonly string[], reasons: Readonly<Record<string, string>>) {
  return (value: string) =>
    Object.hasOwn(reasons, value)
      ? reasons[value]
      : oneOf(...values, ...Object.keys(reasons))(value);
}

const wholeNumber = (value: string) => /^-?\d+$/.test(value) ? undefined : "must be a whole number";

/** By keyword. */
const rules: Readonly<Record<string, ParameterRule>> = {
  // honored; values are validated where they are used
  host: { variable: "PGHOST" },
  hostaddr: { variable: "PGHOSTADDR" },
  port: { variable: "PGPORT" },
  dbname: { variable: "PGDATABASE" },
  user: { variable: "PGUSER" },
  password: { variable: "PGPASSWORD" },
  passfile: { variable: "PGPASSFILE" },
  require_auth: { variable: "PGREQUIREAUTH" },
  channel_binding: { variable: "PGCHANNELBINDING" },
  connect_timeout: { variable: "PGCONNECT_TIMEOUT" },
  options: { variable: "PGOPTIONS" },
  application_name: { variable: "PGAPPNAME" },
  fallback_application_name: {},
  sslmode: { variable: "PGSSLMODE" },
  sslnegotiation: { variable: "PGSSLNEGOTIATION" },
  sslcert: { variable: "PGSSLCERT" },
  sslkey: { variable: "PGSSLKEY" },
  sslpassword: { variable: "PGSSLPASSWORD" },
  sslrootcert: { variable: "PGSSLROOTCERT" },
  sslsni: { variable: "PGSSLSNI" },
  sslcertmode: {
    variable: "PGSSLCERTMODE",
    refused: except(["disable", "allow"], {
      require: "whether the server requests a certificate cannot be checked; use sslcertmode=allow",
    }),
  },
  ssl_min_protocol_version: { variable: "PGSSLMINPROTOCOLVERSION" },
  ssl_max_protocol_version: { variable: "PGSSLMAXPROTOCOLVERSION" },
  target_session_attrs: { variable: "PGTARGETSESSIONATTRS" },
  gssencmode: {
    variable: "PGGSSENCMODE",
    refused: except(["disable", "prefer"], { require: `${noKerberos}, with sslmode=verify-full` }),
  },

  // without effect: the session behaves as if they were honored, or they do not matter here
  client_encoding: {},
  keepalives: { refused: wholeNumber },
  keepalives_idle: { refused: wholeNumber },
  keepalives_interval: { refused: wholeNumber },
  keepalives_count: { refused: wholeNumber },
  tcp_user_timeout: { refused: wholeNumber },
  load_balance_hosts: { variable: "PGLOADBALANCEHOSTS", refused: oneOf("disable", "random") },
  sslcompression: { variable: "PGSSLCOMPRESSION", refused: oneOf("0", "1") },
  gssdelegation: {
    variable: "PGGSSDELEGATION",
    refused: except(["0"], { "1": noKerberos }),
  },
  min_protocol_version: {
    variable: "PGMINPROTOCOLVERSION",
    refused: except(["3.0"], {
      "3.2": "only protocol version 3.0 is supported; remove it",
      latest: "only protocol version 3.0 is supported; remove it",
    }),
  },
  max_protocol_version: {
    variable: "PGMAXPROTOCOLVERSION",
    refused: oneOf("3.0", "3.2", "latest"),
  },

  // rejected
  sslcrl: { variable: "PGSSLCRL", refused: noRevocationLists },
  sslcrldir: { variable: "PGSSLCRLDIR", refused: noRevocationLists },
  sslkeylogfile: { refused: "key logging is not supported; remove it" },
  requirepeer: {
    variable: "PGREQUIREPEER",
    refused:
      "the owner of a Unix socket cannot be checked; remove it, or connect over TCP with TLS",
  },
  krbsrvname: { variable: "PGKRBSRVNAME", refused: noKerberos },
  gsslib: { variable: "PGGSSLIB", refused: noKerberos },
  scram_client_key: { refused: "only the password itself is supported; remove it" },
  scram_server_key: { refused: "only the password itself is supported; remove it" },
  oauth_issuer: { refused: noOauth },
  oauth_client_id: { refused: noOauth },
  oauth_client_secret: { refused: noOauth },
  oauth_scope: { refused: noOauth },
  service: { variable: "PGSERVICE", refused: noServiceFiles },
  servicefile: { refused: noServiceFiles },
  replication: { refused: "the tool sets this itself where needed; remove it" },
  pgbouncer: { refused: `${prismaOnly} and connect past the pooler` },
  schema: { refused: prismaOnly },
  connection_limit: { refused: `${prismaOnly} and use --jobs` },
};

/** All known keywords, including rejected ones. */
export const keywords: readonly string[] = Object.keys(rules);

/**
 * All environment variables of libpq that are read; `PGREQUIRESSL` is its deprecated form of
 * `sslmode=require`.
 */
export const libpqVariables: readonly string[] = [
  ...Object.values(rules).flatMap(({ variable }) => variable === undefined ? [] : [variable]),
  "PGREQUIRESSL",
];

/** Whether libpq, or another program with such URLs, knows the keyword. */
export function isKeyword(keyword: string): boolean {
  return Object.hasOwn(rules, keyword);
}

/** Keywords to suggest for an unknown one. */
export const usableKeywords: readonly string[] = keywords.filter((keyword) =>
  typeof rules[keyword]?.refused !== "string"
);

/** Why a value is rejected; undefined when it is valid. As in libpq, empty means not set. */
function refusal(keyword: string, value: string | undefined): string | undefined {
  const refused = rules[keyword]?.refused;
  if (value === undefined || value === "") return undefined;
  return typeof refused === "function" ? refused(value) : refused;
}

/** A parameter, and how to display it without a secret. */
export interface GivenParameter {
  readonly value: string;
  /**
   * The keyword for a parameter of the URL, whose parts are never quoted; otherwise the variable
   * with its value.
   */
  readonly shown: string;
}

/** The parameters of a URL, with those of the environment as fallback. */
export class ConnectionParameters {
  readonly #ofUrl: Readonly<Record<string, string>>;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(
    ofUrl: Readonly<Record<string, string>>,
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.#ofUrl = ofUrl;
    this.#environment = environment;
  }

  /** The parameter as given, if any; an empty one in the URL overrides the variable. */
  given(keyword: string): GivenParameter | undefined {
    const ofUrl = this.#ofUrl[keyword];
    if (ofUrl !== undefined) return ofUrl === "" ? undefined : { value: ofUrl, shown: keyword };
    const variable = rules[keyword]?.variable;
    const value = variable === undefined ? undefined : this.#environment[variable];
    if (value === undefined || value === "") return undefined;
    const secret = keyword === "password" || keyword === "sslpassword";
    return { value, shown: secret ? variable ?? "" : `${variable}="${value}"` };
  }

  /** The value of {@linkcode given}. */
  value(keyword: string): string | undefined {
    return this.given(keyword)?.value;
  }

  /** All rejected parameters. */
  problems(): readonly string[] {
    return keywords.flatMap((keyword) => {
      const given = this.given(keyword);
      const reason = refusal(keyword, given?.value);
      if (given === undefined || reason === undefined) return [];
      return [`${given.shown}${reason.startsWith("must be") ? " " : ": "}${reason}`];
    });
  }
}
