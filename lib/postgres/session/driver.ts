/**
 * postgres.js on an existing connection.
 *
 * @module
 */
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
  const options: postgres.Options<{ date: postgres.PostgresType<string> }> & {
    socket: () => unknown;
  } = {
    // never used to connect; the driver would look up a missing one in the environment
    host: "socket",
    port: place.port,
    user: endpoint.user,
    database: endpoint.database,
    // the session is open already, see start_session.ts; an empty text would be looked up in the
    // environment
    pass: () => "",
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
    // these would be looked up in the environment too, each of which needs a permission
    sslnegotiation: null,
    max_pipeline: 100,
    debug: false,
    publications: "alltables",
    target_session_attrs: null,
    onnotice: () => {},
    connection: { application_name: endpoint.applicationName },
    types: {
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
    },
  } as never;
  return postgres(options as never) as unknown as Driver;
}

/** `fetch_types` would read these from the server with a query for each connection. */
const arrayTypes = {
  texts: { to: 1009, from: [1002, 1009, 1015, 2951], serialize: String, parse: parseArray },
  numbers: {
    to: 1007,
    from: [1005, 1007, 1021, 1022],
    serialize: String,
    parse: (text: string) => parseArray(text).map((each) => each === null ? null : Number(each)),
  },
};
