/**
 * What will apply the changes of a source: a subscription of the target, or this tool.
 *
 * @module
 */
import { ReplicatorError } from "../../core/internal.ts";
import { type Session, withDatabase } from "../../postgres/internal.ts";
import {
  type ApplierChoice,
  chooseApplier,
  describeApplierChoice,
  subscriptionAsRequested,
  wantsSubscription,
} from "../shared/choose_applier.ts";
import type { DatabasePlanning } from "../shared/database_plan.ts";
import { accessTo } from "../shared/replicated_rows.ts";
import type { ValidateOptions } from "../shared/run.ts";
import type { Check } from "../shared/validation_report.ts";
import { fail, pass } from "./check.ts";
import type { ServerFacts } from "./facts.ts";
import { checkTargetReplication } from "./replication_checks.ts";

/** What can apply the changes, and what that needs. */
export async function examineApplying(
  { forSync, apply, source }: ValidateOptions,
  { session, facts, planning }: {
    readonly session: Session;
    readonly facts: ServerFacts;
    readonly planning: DatabasePlanning;
  },
): Promise<{ readonly checks: readonly Check[]; readonly choice: ApplierChoice | undefined }> {
  const { databases } = planning;
  const ofSubscription = checkTargetReplication(facts, { databases: databases.length, forSync });
  const [first] = databases;
  if (!forSync || first === undefined) return { checks: ofSubscription, choice: undefined };
  if (wantsSubscription(apply)) return { checks: ofSubscription, choice: subscriptionAsRequested };
  const subject = { id: "apply-from", side: "target" } as const;
  try {
    const choice = await chooseApplier({
      target: session,
      access: accessTo(withDatabase(source, first.source.name), apply),
      settings: apply,
      databases: databases.length,
    });
    const checks = choice.kind === "client" ? [] : ofSubscription;
    return { checks: [...checks, pass(subject, describeApplierChoice(choice))], choice };
  } catch (error) {
    if (!(error instanceof ReplicatorError) || !session.isOpen) throw error;
    const finding = [error.message, ...error.details].join("; ");
    const checks = apply.applyFrom === "here" ? [] : ofSubscription;
    return {
      checks: [...checks, fail(subject, { finding, fix: error.remedy ?? "" })],
      choice: undefined,
    };
  }
}
