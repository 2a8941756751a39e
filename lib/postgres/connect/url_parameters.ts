/**
 * Every connection parameter of libpq, and what becomes of it here: honoured, without effect, or
 * refused.
 *
 * A parameter that would protect the connection and cannot be honoured is refused, before anything
 * is sent; so is one that is unknown.
 *
 * Source: PostgreSQL documentation, "34.1.2. Parameter Key Words" and "34.15. Environment
 * Variables".
 *
 * @module
 */

interface ParameterRule {
  /** The environment variable that stands for it. */
  readonly variable?: string;
  /** Why it is refused: always, or (as a function) for some values. */
  readonly refused?: string | ((value: string) => string | undefined);
}

const noKerberos = "GSSAPI (Kerberos) is not supported; use scram-sha-256 or a client certificate";
const noRevocationLists =
  "certificate revocation lists are not supported; remove it, or connect through a TLS proxy that checks them";
const noServiceFiles = "service files are not read; write the parameters into the URL";
const noOauth = "OAuth is not supported; use scram-sha-256 or a client certificate";
const ofPrisma = "this is a setting of Prisma, not of PostgreSQL; remove it";

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
  // honoured; the values are checked where they are used
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
      require: "whether the server asks for a certificate cannot be checked; use sslcertmode=allow",
    }),
  },
  ssl_min_protocol_version: { variable: "PGSSLMINPROTOCOLVERSION" },
  ssl_max_protocol_version: { variable: "PGSSLMAXPROTOCOLVERSION" },
  target_session_attrs: { variable: "PGTARGETSESSIONATTRS" },
  gssencmode: {
    variable: "PGGSSENCMODE",
    refused: except(["disable", "prefer"], { require: `${noKerberos}, with sslmode=verify-full` }),
  },

  // without effect: the session is as if they were honoured, or they change nothing that matters
  // here
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
      "3.2": "only version 3.0 of the protocol is spoken; remove it",
      latest: "only version 3.0 of the protocol is spoken; remove it",
    }),
  },
  max_protocol_version: {
    variable: "PGMAXPROTOCOLVERSION",
    refused: oneOf("3.0", "3.2", "latest"),
  },

  // refused
  sslcrl: { variable: "PGSSLCRL", refused: noRevocationLists },
  sslcrldir: { variable: "PGSSLCRLDIR", refused: noRevocationLists },
  sslkeylogfile: { refused: "keys are not logged; remove it" },
  requirepeer: {
    variable: "PGREQUIREPEER",
    refused: "the owner of a Unix socket cannot be checked; remove it, or connect by TCP with TLS",
  },
  krbsrvname: { variable: "PGKRBSRVNAME", refused: noKerberos },
  gsslib: { variable: "PGGSSLIB", refused: noKerberos },
  scram_client_key: { refused: "only the password itself is taken; remove it" },
  scram_server_key: { refused: "only the password itself is taken; remove it" },
  oauth_issuer: { refused: noOauth },
  oauth_client_id: { refused: noOauth },
  oauth_client_secret: { refused: noOauth },
  oauth_scope: { refused: noOauth },
  service: { variable: "PGSERVICE", refused: noServiceFiles },
  servicefile: { refused: noServiceFiles },
  replication: { refused: "the tool sets this itself where it is needed; remove it" },
  pgbouncer: { refused: `${ofPrisma} and connect past the pooler` },
  schema: { refused: ofPrisma },
  connection_limit: { refused: `${ofPrisma} and use --jobs` },
};

/** Every keyword that is known, refused ones included. */
export const keywords: readonly string[] = Object.keys(rules);

/**
 * Every environment variable of libpq that is looked at; `PGREQUIRESSL` is its old way to say
 * `sslmode=require`.
 */
export const libpqVariables: readonly string[] = [
  ...Object.values(rules).flatMap(({ variable }) => variable === undefined ? [] : [variable]),
  "PGREQUIRESSL",
];

/** Whether libpq, or another program that writes such URLs, knows the keyword. */
export function isKeyword(keyword: string): boolean {
  return Object.hasOwn(rules, keyword);
}

/** Keywords that may help someone who wrote another one. */
export const usableKeywords: readonly string[] = keywords.filter((keyword) =>
  typeof rules[keyword]?.refused !== "string"
);

/** Why a value cannot be taken; undefined when it can. An empty value is none, as in libpq. */
function refusal(keyword: string, value: string | undefined): string | undefined {
  const refused = rules[keyword]?.refused;
  if (value === undefined || value === "") return undefined;
  return typeof refused === "function" ? refused(value) : refused;
}

/** A parameter as it was given, and how to call it without showing a secret. */
export interface GivenParameter {
  readonly value: string;
  /**
   * The keyword when it was in the URL, whose parts are never quoted; else the variable with its
   * value.
   */
  readonly shown: string;
}

/** The parameters of a URL, and behind them those of the environment. */
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

  /** As given, or undefined; an empty text in the URL hides the variable. */
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

  /** Everything that is refused, in one list. */
  problems(): readonly string[] {
    return keywords.flatMap((keyword) => {
      const given = this.given(keyword);
      const reason = refusal(keyword, given?.value);
      if (given === undefined || reason === undefined) return [];
      return [`${given.shown}${reason.startsWith("must be") ? " " : ": "}${reason}`];
    });
  }
}
