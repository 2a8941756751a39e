/**
 * Which authentication a server may request: libpq's `require_auth` and `channel_binding`.
 *
 * Source: PostgreSQL documentation, "34.1.2. Parameter Key Words".
 *
 * @module
 */

/** Authentication methods as `require_auth` names them. `none`: no authentication. */
const loginMethods = [
  "password",
  "md5",
  "gss",
  "sspi",
  "scram-sha-256",
  "oauth",
  "none",
] as const;
/** An authentication method. */
export type LoginMethod = typeof loginMethods[number];

/** libpq's `channel_binding`. */
export const channelBindings = ["disable", "prefer", "require"] as const;
/** One of {@linkcode channelBindings}. */
export type ChannelBinding = typeof channelBindings[number];

/** Requirements for a login. */
export interface LoginRules {
  /** libpq's `channel_binding`: `disable`, `prefer` or `require`. */
  readonly channelBinding: ChannelBinding;
  /** As the user gave it, for client programs; undefined when everything is allowed. */
  readonly requireAuth: string | undefined;
}

/** Methods that the tool supports. */
const supported: ReadonlySet<LoginMethod> = new Set(["password", "md5", "scram-sha-256", "none"]);

function isMethod(text: string): text is LoginMethod {
  return (loginMethods as readonly string[]).includes(text);
}

/**
 * The methods that a `require_auth` allows; all when it is not set.
 */
export function allowedMethods(requireAuth: string | undefined): ReadonlySet<LoginMethod> {
  if (requireAuth === undefined) return new Set(loginMethods);
  const items = requireAuth.split(",").map((item) => item.trim());
  const names = items.map((item) => item.replace(/^!/, "")).filter(isMethod);
  const negated = items[0]?.startsWith("!") ?? false;
  return new Set(negated ? loginMethods.filter((method) => !names.includes(method)) : names);
}

/** The problem with a `require_auth`, without quoting it; undefined when it is valid. */
export function requireAuthProblem(requireAuth: string): string | undefined {
  const items = requireAuth.split(",").map((item) => item.trim());
  const negated = items.filter((item) => item.startsWith("!")).length;
  const names = items.map((item) => item.replace(/^!/, ""));
  if (names.some((name) => !isMethod(name))) {
    return `require_auth must be a comma-separated list of methods: ${loginMethods.join(", ")}; ` +
      `put "!" before every method to exclude them instead`;
  }
  if (negated > 0 && negated < items.length) {
    return "require_auth must have ! before either all methods or none";
  }
  if (new Set(names).size < names.length) return "require_auth names a method twice";
  if ([...allowedMethods(requireAuth)].every((method) => !supported.has(method))) {
    return `require_auth allows none of the supported methods: ${[...supported].join(", ")}`;
  }
  return undefined;
}
