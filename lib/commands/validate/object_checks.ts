import { plural, quoteIdentifier } from "../../core/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { listNames, pass, warn } from "./check.ts";
import type { SourceDatabaseFacts } from "./facts.ts";

/** Objects that a copy treats specially. */
export function checkSpecialObjects(
  database: string,
  { facts: { special, largeObjects, tables }, targetTablespaces, forSync }: {
    readonly facts: Pick<SourceDatabaseFacts, "special" | "largeObjects" | "tables">;
    readonly targetTablespaces: readonly string[];
    readonly forSync: boolean;
  },
): readonly Check[] {
  const checks: Check[] = [];
  const about = (id: string) => ({ id, side: "source", database }) as const;
  const objects = plural(largeObjects.count, "large object");
  if (largeObjects.count > 0 && forSync) {
    checks.push(
      warn(about("large-objects"), {
        finding: `${objects}: copied by init, but changes to them are not replicated`,
        fix: "write no large objects between init and cutover, or keep them in bytea columns",
      }),
    );
  } else checks.push(pass(about("large-objects"), objects));
  const unlogged = tables.filter(({ isUnlogged }) => isUnlogged).length;
  if (unlogged > 0 && !forSync) {
    checks.push(pass(about("unlogged-tables"), `${plural(unlogged, "unlogged table")}: copied`));
  }
  if (special.foreignTables.length > 0 || special.userMappings > 0) {
    checks.push(
      warn(about("foreign-tables"), {
        finding: `${
          [
            ...(special.foreignTables.length === 0
              ? []
              : [plural(special.foreignTables.length, "foreign table")]),
            ...(special.userMappings === 0 ? [] : [plural(special.userMappings, "user mapping")]),
          ].join(" and ")
        }: definitions are copied, rows stay where they are` +
          (special.foreignTables.length === 0 ? "" : ` (${listNames(special.foreignTables)})`),
        fix:
          "make sure that the target reaches the foreign servers, and set the passwords of user mappings that the role cannot read",
      }),
    );
  }
  const subscriptions = special.subscriptions.length;
  if (subscriptions > 0) {
    checks.push(
      warn(about("subscriptions"), {
        finding: `${plural(subscriptions, "existing subscription")} (${
          listNames(special.subscriptions)
        }) will not be copied`,
        fix: "create them on the target after the cutover",
      }),
    );
  }
  // init resumes or removes what earlier runs of the tool left
  const publications = special.publications.filter((name) => !name.startsWith("seren_"));
  if (publications.length > 0) {
    checks.push(
      warn(about("publications"), {
        finding: `${plural(publications.length, "publication")} (${
          listNames(publications)
        }) will not be copied`,
        fix: "create them on the target after the cutover",
      }),
    );
  }
  const missing = special.tablespaces.filter((name) => !targetTablespaces.includes(name));
  if (missing.length > 0) {
    checks.push(
      warn(about("tablespaces"), {
        finding: `the target has no tablespace ${
          listNames(missing)
        }; its objects will be in the default tablespace`,
        fix: `CREATE TABLESPACE ${
          quoteIdentifier(missing[0]!)
        } LOCATION '…'; on the target, if it matters`,
      }),
    );
  }
  return checks;
}

/** Do event triggers interfere with filling a database? */
export function checkEventTriggers(
  database: string,
  eventTriggers: readonly string[],
): Check {
  const subject = { id: "event-triggers", side: "target", database } as const;
  const [first] = eventTriggers;
  return first === undefined ? pass(subject, "no event trigger interferes") : warn(subject, {
    finding: `event triggers fire while the schema is created: ${listNames(eventTriggers)}`,
    fix: `ALTER EVENT TRIGGER ${quoteIdentifier(first)} DISABLE; during init, if you own it`,
  });
}
