import { describeError, ReplicatorError, type Side } from "../../core/internal.ts";
import { ConnectionError, ServerError } from "../../postgres/internal.ts";
import type { Check } from "../shared/validation_report.ts";

/** The subject of a check. */
export interface CheckSubject {
  readonly id: string;
  readonly side: Side | "both";
  readonly database?: string | undefined;
}

/** What a check found, and what to do about it. */
export interface CheckFinding {
  readonly finding: string;
  readonly fix: string;
}

/** A check that passed. */
export function pass(subject: CheckSubject, finding: string): Check {
  return { ...about(subject), status: "pass", finding };
}

/** A check with a finding that the user should know about. */
export function warn(subject: CheckSubject, { finding, fix }: CheckFinding): Check {
  return { ...about(subject), status: "warn", finding, fix };
}

/** A check with a finding that would make a later step fail. */
export function fail(subject: CheckSubject, { finding, fix }: CheckFinding): Check {
  return { ...about(subject), status: "fail", finding, fix };
}

/** A failure if it matters, otherwise a warning. */
export function failIf(matters: boolean, subject: CheckSubject, found: CheckFinding): Check {
  return matters ? fail(subject, found) : warn(subject, found);
}

/**
 * What a finding is about, as the beginning of a line: `app, source: `. Empty for both sides; the
 * database is named where `several` are copied.
 */
export function subjectPrefix(
  { side, database }: Pick<Check, "side" | "database">,
  { several }: { readonly several: boolean },
): string {
  const parts = [
    ...(several && database !== undefined ? [database] : []),
    ...(side === "both" ? [] : [side]),
  ];
  return parts.length === 0 ? "" : `${parts.join(", ")}: `;
}

function about({ id, side, database }: CheckSubject): CheckSubject & { database?: string } {
  return { id, side, ...(database === undefined ? {} : { database }) } as never;
}

/**
 * Runs a group of checks. If its queries fail, the error becomes its finding. A lost connection or
 * an interruption ends the command.
 */
export async function checkOr(
  subject: CheckSubject,
  { essential, signal, check }: {
    /** Whether failing to check is itself a failure. */
    readonly essential: boolean;
    readonly signal: AbortSignal;
    readonly check: () => Promise<readonly Check[]> | readonly Check[];
  },
): Promise<readonly Check[]> {
  try {
    return await check();
  } catch (error) {
    signal.throwIfAborted();
    // a refused connection says something about the database, a broken one does not
    const refused = error instanceof ConnectionError && !error.transient;
    if (!refused && !(error instanceof ServerError)) throw error;
    return [failIf(essential, subject, couldNotCheck(error))];
  }
}

/** The finding for a refused query. */
function couldNotCheck(error: ReplicatorError): CheckFinding {
  const [first = error.message] = describeError(error);
  return {
    finding: `could not be checked: ${first}`,
    fix: error.remedy ?? "allow the role to read the catalogs, or connect as a role that may",
  };
}

/** How many names a finding lists. */
const namesListed = 20;

/** `a, b, c and 4 more` */
export function listNames(names: readonly string[]): string {
  if (names.length <= namesListed + 1) return names.join(", ");
  return `${names.slice(0, namesListed).join(", ")} and ${names.length - namesListed} more`;
}
