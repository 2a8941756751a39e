import type { Problem } from "../../core/internal.ts";
import { parseUrl, type UrlParts } from "../../postgres/internal.ts";
import { maxUrlBytes } from "./job.ts";

/**
 * Parameters that would make the worker read its own files, or look elsewhere than the URL says.
 */
const filesOfTheWorker = ["passfile", "sslcert", "sslkey", "sslcrl", "sslcrldir"] as const;

/** Never legal in a URL as they stand, wherever: RFC 3986, section 2. */
// deno-lint-ignore no-control-regex -- control characters are what is looked for
const neverLegal = /[\s\u0000-\u001f\u007f"<>\\^`{}|]/u;

/**
 * Legal by the letter of RFC 3986, but in the host or the name of a database they only come from an
 * injection.
 */
const suspicious = /[;$&()*'!]/;

/**
 * What is wrong with a connection URL that comes from elsewhere.
 *
 * What follows from the grammar is judged by the reader that libpq's rules are in; this adds what a
 * service must not do for a stranger. A password, user or database may have any character when it
 * is percent-encoded (`%3B%7C%26%40%24`).
 *
 * @returns no problem for every URL that names a server by TCP; the problems quote no part of the
 * URL
 */
export function connectionUrlProblems(url: string, path: string): readonly Problem[] {
  const problem = (message: string): Problem => ({ path, message });
  const bytes = new TextEncoder().encode(url).length;
  if (bytes > maxUrlBytes) {
    return [problem(`is longer than ${maxUrlBytes} bytes (it has ${bytes})`)];
  }
  if (neverLegal.test(url)) {
    return [
      problem(
        "has a character that no URL may have (a space, a quote, a bracket, a control character); percent-encode it (%20 for a space)",
      ),
    ];
  }
  const [, authority = "", database = ""] = /^[^/]*\/\/([^/?]*)(?:\/([^?]*))?/.exec(url) ?? [];
  const hosts = authority.slice(authority.lastIndexOf("@") + 1);
  if (suspicious.test(hosts) || suspicious.test(database)) {
    return [
      problem(
        "has one of ; $ & ( ) * ' ! in the host or the database; in a database's name percent-encode it (%3B for ;)",
      ),
    ];
  }
  const parsed = parseUrl(url, path);
  if (parsed.parts === undefined) return parsed.problems;
  return partProblems(parsed.parts).map(problem);
}

function partProblems({ hosts, user, parameters }: UrlParts): readonly string[] {
  const problems: string[] = [];
  const named = [
    ...hosts.map(({ host }) => host),
    ...(parameters["host"]?.split(",") ?? []),
    ...(parameters["hostaddr"]?.split(",") ?? []),
  ];
  if (named.every((host) => host === undefined || host === "")) problems.push("names no host");
  if (named.some((host) => host?.startsWith("/") || host?.startsWith("@"))) {
    problems.push("names a Unix socket, which would be one of the worker's machine");
  }
  if (user === undefined && parameters["user"] === undefined) problems.push("names no user");
  for (const parameter of filesOfTheWorker) {
    if (parameters[parameter] !== undefined) {
      problems.push(`parameter "${parameter}" names a file, which would be one of the worker's`);
    }
  }
  const root = parameters["sslrootcert"];
  if (root !== undefined && root !== "system") {
    problems.push('parameter "sslrootcert" names a file of the worker\'s; it can only be "system"');
  }
  return problems;
}
