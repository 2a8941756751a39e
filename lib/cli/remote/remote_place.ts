/**
 * Whether a command runs on a service, and on which. Apart from the client of a service, which
 * commands that run here need not load.
 *
 * @module
 */
import type { OptionReader } from "../options/option_reader.ts";

/** The service that runs jobs, and the key for it. */
export interface RemotePlace {
  readonly url: string;
  readonly apiKey: string;
  /** One trace for all requests of a command. */
  readonly traceId: string;
}

/**
 * The service named by the options or the environment. Problems are collected in the reader.
 *
 * @returns undefined if the command runs here
 */
export function readRemote(
  reader: OptionReader,
  { environment, required = false }: {
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly required?: boolean;
  },
): RemotePlace | undefined {
  const flag = reader.text("remote");
  const text = flag ?? (reader.flag("local") ? undefined : environment["SEREN_REMOTE_API"]);
  const path = flag === undefined ? "SEREN_REMOTE_API" : "--remote";
  if (text === undefined || text === "") {
    if (required) {
      reader.problem("--remote", "is missing; give --remote URL or set SEREN_REMOTE_API");
    }
    return undefined;
  }
  const url = serviceUrl(text);
  if (url === undefined) {
    reader.problem(path, `"${text}" is not the URL of a service, like https://jobs.example.com`);
  } else if ("problem" in url) reader.problem(path, url.problem);
  const apiKey = environment["SEREN_API_KEY"];
  if (!apiKey) {
    reader.problem("SEREN_API_KEY", "is not set; the service requires a key");
  }
  if (url === undefined || "problem" in url || !apiKey) return undefined;
  const traceId = crypto.getRandomValues(new Uint8Array(16)).toHex();
  return { url: url.url, apiKey, traceId };
}

function serviceUrl(
  text: string,
): { readonly url: string } | { readonly problem: string } | undefined {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    return undefined;
  }
  if (url.username !== "") return { problem: "contains a user; set the key in SEREN_API_KEY" };
  const here = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol === "http:" && !here) {
    return {
      problem: "is not encrypted: passwords would cross the network in plain text; use https://",
    };
  }
  return { url: `${url.origin}${url.pathname.replace(/\/+$/, "")}` };
}
