/**
 * Refusals of the cutover commands: every reason at once.
 *
 * @module
 */
import { ExitCode, plural, ReplicatorError } from "../../core/internal.ts";
import type { CutoverPhase, PreflightFinding } from "../../cutover/internal.ts";
import type { CutoverDatabase } from "./read_cutover.ts";

/** One line for a finding: `app, source: the role does not own …`. */
export function describeFinding({ database, side, message }: PreflightFinding): string {
  return `${[database, side].filter((part) => part !== undefined).join(", ")}: ${message}`;
}

/** @throws ReplicatorError (prerequisite) with every problem */
export function refuseProblems(findings: readonly PreflightFinding[]): void {
  // several streams of a database may have the same problem
  const problems = [
    ...new Map(
      findings.filter(({ severity }) => severity === "problem")
        .map((finding) => [`${describeFinding(finding)}\n${finding.remedy ?? ""}`, finding]),
    ).values(),
  ];
  if (problems.length === 0) return;
  throw new ReplicatorError(
    `the cutover was refused for ${plural(problems.length, "reason")}; nothing was changed`,
    {
      details: problems.flatMap((finding) => [
        describeFinding(finding),
        ...(finding.remedy === undefined ? [] : [`  → ${finding.remedy}`]),
      ]),
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** @throws ReplicatorError (prerequisite) unless every database is in one of the phases */
export function refusePhases(
  databases: readonly CutoverDatabase[],
  phases: readonly CutoverPhase[],
  command: string,
): void {
  const wrong = databases.filter(({ phase }) => !phases.includes(phase));
  if (databases.length > 0 && wrong.length === 0) return;
  throw new ReplicatorError(
    databases.length === 0
      ? "no database is prepared for a cutover"
      : `${command} needs ${phases.join(" or ")} databases; nothing was changed`,
    {
      details: wrong.map(({ source, phase }) => `${source.database}: ${phase}`),
      remedy: databases.length === 0
        ? "run cutover prepare first"
        : "see cutover status for the next command",
      exitCode: ExitCode.prerequisite,
    },
  );
}
