/**
 * The checks of a switch: before the question, and again before the first attempt.
 *
 * @module
 */
import {
  type DatabaseRoute,
  lockWaitMs,
  nameOnSource,
  type PreflightFinding,
  restoreIfTurning,
} from "../../cutover/internal.ts";
import { examineLocks } from "./examine_locks.ts";
import { examineRoute } from "./examine_route.ts";
import type { CutoverDatabase } from "./read_cutover.ts";
import { describeFinding, refuseProblems } from "./refuse.ts";
import { withStillClosed } from "./still_closed.ts";
import { readingContext, type SwitchCall } from "./switch_call.ts";
import { closedNames } from "./switch_phases.ts";

/** A `sync` that the previous switch has stopped begins to wait for this one within seconds. */
const attendanceMs = 10_000;

/** Checks the databases of one call, and collects what is worth knowing about them. */
export class SwitchChecks {
  readonly #call: SwitchCall;
  readonly #warnings: PreflightFinding[] = [];
  /** Names, on the source, of databases that were checked again. */
  readonly #rechecked = new Set<string>();

  constructor(call: SwitchCall) {
    this.#call = call;
  }

  /** What does not prevent the switch, in the order in which it was found. */
  get warnings(): readonly PreflightFinding[] {
    return this.#warnings;
  }

  /**
   * Checks before the question.
   *
   * @param options `open`: the routes of databases whose side in use is still open
   * @throws ReplicatorError (prerequisite) with every problem
   */
  async examine(
    involved: readonly CutoverDatabase[],
    { open }: { readonly open: readonly DatabaseRoute[] },
  ): Promise<void> {
    const { direction } = this.#call;
    const refuse = (findings: readonly PreflightFinding[]) => {
      try {
        refuseProblems(findings);
      } catch (error) {
        throw withStillClosed(error, { direction, closed: closedNames(involved) });
      }
    };
    // before anything else: what another command is doing would look like a problem
    const { signal } = readingContext(this.#call);
    refuse(await examineLocks(involved, { waitMs: lockWaitMs, signal }));
    for (const route of open) {
      this.#warnings.push(
        ...await this.#examineRoute(await restoreIfTurning(route), this.#call.run.signal),
      );
    }
    refuse(this.#warnings);
  }

  /**
   * Repeats the checks of a database before its first attempt, perhaps hours after the question,
   * and reports what is new.
   *
   * @param signal that of the attempt: one that has to complete a switch is not interrupted
   * @throws ReplicatorError (prerequisite) with every problem
   */
  async recheck(route: DatabaseRoute, signal: AbortSignal): Promise<void> {
    // an attempt that continues has stopped its streams, and restored them just now
    if (this.#rechecked.has(nameOnSource(route))) return;
    const known = new Set(this.#warnings.map(describeFinding));
    const found = await this.#examineRoute(route, signal);
    refuseProblems(found);
    this.#rechecked.add(nameOnSource(route));
    for (const finding of found.filter((each) => !known.has(describeFinding(each)))) {
      this.#warnings.push(finding);
      const { remedy } = finding;
      this.#call.run.events({
        kind: "warning",
        message: describeFinding(finding),
        ...(remedy === undefined ? {} : { remedy }),
      });
    }
  }

  async #examineRoute(
    route: DatabaseRoute,
    signal: AbortSignal,
  ): Promise<readonly PreflightFinding[]> {
    const { options: { maxPauseMs } } = this.#call;
    return await examineRoute(route, { oldTransactionMs: maxPauseMs, attendanceMs, signal });
  }
}
