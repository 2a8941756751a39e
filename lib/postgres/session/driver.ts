/**
 * postgres.js on an existing connection.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import postgres from "postgres";
import type { Endpoint } from "../connect/endpoint.ts";
import type { HostPort } from "../connect/url.ts";
import { parseArray } from "./arrays.ts";
import type { Connection } from "../connect/connection.ts";

/** The driver of one connection. */
export type Driver = postgres.Sql<{ date: string }>;

/** How a session returns dates and arrays: as the server's text, or as JavaScript values. */
export type ValueForm = "text" | "native";

/** The driver for exactly one existing connection. */
export function drive(
  endpoint: Endpoint,
  { place, connection, values }: {
    readonly place: HostPort;
    readonly connection: Connection;
    readonly values: ValueForm;
  },
): Driver {
  let used = false;
  const types = typesOf(values);
  const options = {
    // with it the driver takes the options as they are, in the form that it gives them itself;
    // otherwise it would look up others in the environment, each of which needs a permission
    shared: { retries: 0, typeArrayMap: {} },
    host: ["socket"], // never used to connect
    port: [place.port],
    path: false,
    user: endpoint.user,
    database: endpoint.database,
    pass: "", // the session is open already, see start_session.ts
    socket: () => {
      if (used) throw new Error("the connection is closed");
      used = true;
      return connection.driverSocket;
    },
    max: 1,
    ssl: false,
    prepare: false,
    fetch_types: false, // a query per connection otherwise
    idle_timeout: 0,
    // the driver's default ends a session after 30 to 60 minutes, and its snapshot with it
    max_lifetime: null,
    connect_timeout: 0, // connecting has its own timeout, which covers the network as well
    keep_alive: null,
    backoff: () => 0,
    sslnegotiation: null,
    max_pipeline: 100,
    debug: false,
    publications: "alltables",
    target_session_attrs: null,
    onnotice: () => {},
    connection: { application_name: endpoint.applicationName },
    parameters: {},
    transform: { undefined: undefined, column: {}, value: {}, row: {} },
    types,
    ...handlersOf(types),
  };
  return postgres(options as never) as unknown as Driver;
}

/** How the driver converts values of one type. */
interface DriverType {
  readonly to: number;
  readonly from: readonly number[];
  readonly serialize: (value: unknown) => string;
  readonly parse?: (text: string) => unknown;
}

/** By the oid of the type. */
function handlersOf(types: Readonly<Record<string, DriverType>>): {
  readonly serializers: Record<number, DriverType["serialize"]>;
  readonly parsers: Record<number, DriverType["parse"]>;
} {
  const serializers: Record<number, DriverType["serialize"]> = {};
  const parsers: Record<number, DriverType["parse"]> = {};
  for (const { to, from, serialize, parse } of Object.values(types)) {
    for (const oid of [to, ...from]) serializers[oid] = serialize;
    for (const oid of from) parsers[oid] = parse;
  }
  return { serializers, parsers };
}

function typesOf(values: ValueForm): Readonly<Record<string, DriverType>> {
  return {
    ...defaultTypes,
    date: {
      to: 1184,
      from: [1082, 1114, 1184],
      serialize: String,
      parse: values === "native" ? (text: string) => new Date(text) : String,
    },
    // a text parameter is JSON already; the driver would encode it as a JSON string
    json: {
      to: 114,
      from: [114, 3802],
      serialize: (value: unknown) => typeof value === "string" ? value : JSON.stringify(value),
      parse: (text: string) => JSON.parse(text),
    },
    ...(values === "native" ? arrayTypes : {}),
  };
}

/** The driver's own. */
const defaultTypes: Readonly<Record<string, DriverType>> = {
  string: { to: 25, from: [], serialize: String },
  number: { to: 0, from: [21, 23, 26, 700, 701], serialize: String, parse: Number },
  boolean: {
    to: 16,
    from: [16],
    serialize: (value) => value === true ? "t" : "f",
    parse: (text) => text === "t",
  },
  bytea: {
    to: 17,
    from: [17],
    serialize: (value) => `\\x${Buffer.from(value as Uint8Array).toString("hex")}`,
    parse: (text) => Buffer.from(text.slice(2), "hex"),
  },
};

/** `fetch_types` would read these from the server with a query for each connection. */
const arrayTypes: Readonly<Record<string, DriverType>> = {
  texts: { to: 1009, from: [1002, 1009, 1015, 2951], serialize: String, parse: parseArray },
  numbers: {
    to: 1007,
    from: [1005, 1007, 1021, 1022],
    serialize: String,
    parse: (text: string) => parseArray(text).map((each) => each === null ? null : Number(each)),
  },
};
