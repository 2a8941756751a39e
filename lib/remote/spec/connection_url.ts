import type { Problem } from "../../core/internal.ts";
import { parseUrl, type UrlParts } from "../../postgres/internal.ts";
import { maxUrlBytes } from "./job.ts";

/**
 * Parameters that would make the worker read its own files.
 */
const fileParameters = ["passfile", "sslcert", "sslkey", "sslcrl", "sslcrldir"] as const;

/** Never valid in a URL unencoded: RFC 3986, section 2. */
// deno-lint-ignore no-control-regex -- matches control characters
const neverLegal = /[\s\u0000-\u001f\u007f"<>\\^`{}|]/u;

/**
 * Valid according to RFC 3986, but a sign of injection in a host or database name.
 */
const suspicious = /[;$&()*'!]/;

/**
 * Validates a connection URL from an untrusted client.
 *
 * The grammar is checked by the parser of libpq URLs; this adds what a service must not do on a
 * client's behalf. Passwords, users and databases may contain any character if percent-encoded
 * (`%3B%7C%26%40%24`).
 *
 * @returns the problems, which quote no part of the URL
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
        "contains a character that is not valid in a URL (a space, quote, bracket or control character); percent-encode it (%20 for a space)",
      ),
    ];
  }
  const [, authority = "", database = ""] = /^[^/]*\/\/([^/?]*)(?:\/([^?]*))?/.exec(url) ?? [];
  const hosts = authority.slice(authority.lastIndexOf("@") + 1);
  if (suspicious.test(hosts) || suspicious.test(database)) {
    return [
      problem(
        "contains one of ; $ & ( ) * ' ! in the host or database; percent-encode it in a database name (%3B for ;)",
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
    problems.push("names a Unix socket, which would be on the worker's machine");
  }
  if (user === undefined && parameters["user"] === undefined) problems.push("names no user");
  for (const parameter of fileParameters) {
    if (parameters[parameter] !== undefined) {
      problems.push(
        `parameter "${parameter}" names a file, which would be on the worker's machine`,
      );
    }
  }
  const root = parameters["sslrootcert"];
  if (root !== undefined && root !== "system") {
    problems.push(
      'parameter "sslrootcert" names a file, which would be on the worker\'s machine; only "system" is allowed',
    );
  }
  return problems;
}
