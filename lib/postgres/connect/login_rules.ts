/**
 * What a server may ask for before it lets a session in: libpq's `require_auth` and
 * `channel_binding`.
 *
 * Source: PostgreSQL documentation, "34.1.2. Parameter Key Words".
 *
 * @module
 */

/** Ways to log in, as `require_auth` names them. `none`: the server asks for nothing. */
export const loginMethods = [
  "password",
  "md5",
  "gss",
  "sspi",
  "scram-sha-256",
  "oauth",
  "none",
] as const;
/** One of {@linkcode loginMethods}. */
export type LoginMethod = typeof loginMethods[number];

/** libpq's `channel_binding`. */
export const channelBindings = ["disable", "prefer", "require"] as const;
/** One of {@linkcode channelBindings}. */
export type ChannelBinding = typeof channelBindings[number];

/** What is demanded of a login. */
export interface LoginRules {
  readonly channelBinding: ChannelBinding;
  /** As the user gave it, for client programs; undefined when everything is allowed. */
  readonly requireAuth: string | undefined;
}

/** Rules that allow every method. */
export const anyLogin: LoginRules = { channelBinding: "prefer", requireAuth: undefined };

/** Those that this tool can answer. */
const supported: ReadonlySet<LoginMethod> = new Set(["password", "md5", "scram-sha-256", "none"]);

/** Whether a text is a method. */
function isMethod(text: string): text is LoginMethod {
  return (loginMethods as readonly string[]).includes(text);
}

/**
 * The methods that a `require_auth` allows; undefined when it is malformed or allows none that is
 * supported.
 */
export function allowedMethods(requireAuth: string | undefined): ReadonlySet<LoginMethod> {
  if (requireAuth === undefined) return new Set(loginMethods);
  const items = requireAuth.split(",").map((item) => item.trim());
  const names = items.map((item) => item.replace(/^!/, "")).filter(isMethod);
  const negated = items[0]?.startsWith("!") ?? false;
  return new Set(negated ? loginMethods.filter((method) => !names.includes(method)) : names);
}

/** What is wrong with a `require_auth`; undefined when nothing is. Does not quote it. */
export function requireAuthProblem(requireAuth: string): string | undefined {
  const items = requireAuth.split(",").map((item) => item.trim());
  const negated = items.filter((item) => item.startsWith("!")).length;
  const names = items.map((item) => item.replace(/^!/, ""));
  if (names.some((name) => !isMethod(name))) {
    return `require_auth must list methods, separated by commas: ${loginMethods.join(", ")}; ` +
      `"!" before each of them excludes it`;
  }
  if (negated > 0 && negated < items.length) {
    return "require_auth must have no method with a ! or every method with one";
  }
  if (new Set(names).size < names.length) return "require_auth names a method twice";
  if ([...allowedMethods(requireAuth)].every((method) => !supported.has(method))) {
    return `require_auth allows no method that is supported here: ${[...supported].join(", ")}`;
  }
  return undefined;
}
