import type { ComputingFunction } from "../../catalog/internal.ts";
import { plural } from "../../core/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { listNames, pass, warn } from "./check.ts";
import type { ServerFacts } from "./facts.ts";

/**
 * Functions that are executed with the privileges of the target's role while rows are copied: if
 * that is a superuser, owners of these functions can become one.
 */
export function checkUserCode(
  database: string,
  { functions, role, forSync }: {
    readonly functions: readonly ComputingFunction[];
    /** On the target. */
    readonly role: Pick<ServerFacts["role"], "name" | "superuser">;
    readonly forSync: boolean;
  },
): Check {
  const subject = { id: "user-code", side: "target", database } as const;
  const called = functions.filter(({ kind }) => forSync || kind !== "always trigger");
  if (called.length === 0) {
    return pass(subject, "no functions of ordinary roles are called while rows are copied");
  }
  const names = [...new Set(called.map(({ name }) => name))];
  const owners = [...new Set(called.map(({ owner }) => owner))];
  const objects = called.map(({ kind, object }) => `${kind} ${object}`);
  const finding = `${plural(names.length, "function")} of ${listNames(owners)} ${
    names.length === 1 ? "is" : "are"
  } called while rows are copied (${listNames(names)}, by ${listNames(objects)})`;
  if (!role.superuser) return pass(subject, `${finding}, without superuser privileges`);
  return warn(subject, {
    finding:
      `${finding}, with the privileges of ${role.name}, a superuser: a role that can change them can take over the target's server`,
    fix:
      "connect to the target as a role with CREATEDB and CREATEROLE that is not a superuser, or review these functions",
  });
}
