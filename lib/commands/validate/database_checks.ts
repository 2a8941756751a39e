import type { LocaleFacts } from "../../catalog/internal.ts";
import { knowsLocale } from "../../catalog/internal.ts";
import { quoteIdentifier } from "../../core/internal.ts";
import {
  type DatabasePlanning,
  differingProperties,
  type PlannedDatabase,
} from "../shared/database_plan.ts";
import type { Check } from "../shared/validation_report.ts";
import { fail, listNames, pass, warn } from "./check.ts";

/** Is the selection of databases right? */
export function checkSelection(
  { databases, problems, skipped }: Pick<DatabasePlanning, "databases" | "problems" | "skipped">,
): readonly Check[] {
  const subject = { id: "database-selection", side: "source" } as const;
  const checks: Check[] = problems.map(({ path, message }) =>
    fail(subject, { finding: `${path}: ${message}`, fix: `correct ${path}` })
  );
  if (databases.length > 0) {
    const names = databases.map(({ source, target }) =>
      source.name === target ? source.name : `${source.name} as ${target}`
    );
    checks.push(pass(subject, `to copy: ${listNames(names)}`));
  }
  for (const { name, reason } of skipped) {
    const skippedSubject = { id: "database-skipped", side: "source", database: name } as const;
    checks.push(
      reason === "is empty" ? pass(skippedSubject, "skipped: it is empty") : warn(skippedSubject, {
        finding: `skipped: it ${reason}`,
        fix: `GRANT CONNECT ON DATABASE ${
          quoteIdentifier(name)
        } TO the role of --source, or exclude it with --exclude-databases`,
      }),
    );
  }
  return checks;
}

/** What happens to the database on the target? */
export function checkTargetEmpty(planned: PlannedDatabase): readonly Check[] {
  const check = describeAction(planned);
  return check === undefined ? [] : [check];
}

/** Undefined where another check reports the same. */
function describeAction(planned: PlannedDatabase): Check | undefined {
  const { target, action, refusal, willBeLost, contents } = planned;
  const subject = { id: "target-empty", side: "target", database: target } as const;
  switch (action) {
    case "create":
      return pass(subject, "does not exist yet and will be created");
    case "fill-empty": {
      const extensions = contents?.extensions ?? [];
      return pass(
        subject,
        "exists and is empty" +
          (extensions.length === 0 ? "" : ` (extensions: ${extensions.join(", ")})`),
      );
    }
    case "resume":
      return pass(
        subject,
        `contains an unfinished copy, started at ${planned.unfinished?.startedAt}: init resumes it`,
      );
    case "drop-and-create":
      if (planned.unfinished !== undefined) {
        return warn(subject, {
          finding: `will be dropped and copied from the start. This will be lost: ${willBeLost}`,
          fix: "omit --no-resume to resume it",
        });
      }
      return warn(subject, {
        finding: `will be dropped (--drop-existing). This will be lost: ${willBeLost}`,
        fix: "omit --drop-existing if any of this is needed",
      });
    case "refuse":
      return refusal === undefined ? undefined : fail(subject, refusal);
  }
}

/** Can the target store the text? */
export function checkEncoding({ source, target, action, existing }: PlannedDatabase): Check {
  const subject = { id: "encoding", side: "target", database: target } as const;
  const actual = action === "fill-empty" && existing !== undefined
    ? existing.encoding
    : source.encoding;
  if (source.encoding === "SQL_ASCII") {
    if (actual === "SQL_ASCII") {
      return pass(subject, "SQL_ASCII: text is copied byte for byte");
    }
    return warn(subject, {
      finding:
        `the source is SQL_ASCII, which is not an encoding: text that is not valid ${actual} will be refused`,
      fix:
        `determine the encoding of the text; if it is not ${actual}, convert the source first, or let init create the database like the source`,
    });
  }
  if (actual === source.encoding) return pass(subject, actual);
  if (actual === "UTF8") return pass(subject, `${source.encoding} is converted to UTF8`);
  return fail(subject, {
    finding:
      `the source is ${source.encoding}, the target ${actual}, which lacks some of its characters`,
    fix:
      "drop the empty database on the target, so that init creates it like the source; or use --drop-existing",
  });
}

/** Whether the target's operating system has the locale; undefined if unknown. */
export type LocaleAnswer = boolean | undefined;

/** Can the target sort as the source does? */
export function checkLocale(
  planned: PlannedDatabase,
  { locales, targetMajor, tried }: {
    readonly locales: LocaleFacts;
    readonly targetMajor: number;
    /** Results of trying locales of the operating system, by name. */
    readonly tried: ReadonlyMap<string, LocaleAnswer>;
  },
): Check {
  const { source, target, action, existing } = planned;
  const subject = { id: "locale", side: "target", database: target } as const;
  if (action === "fill-empty" && existing !== undefined) {
    const differences = differingProperties(source, existing).filter((each) => each !== "encoding");
    return differences.length === 0 ? pass(subject, describeLocale(source)) : warn(subject, {
      finding: `the empty database on the target differs in ${differences.join(", ")} (${
        describeLocale(existing)
      }, the source ${describeLocale(source)}): text may be sorted and compared differently`,
      fix:
        "drop the empty database on the target, so that init creates it like the source; or use --drop-existing",
    });
  }
  const need = { icu: 15, builtin: source.locale === "PG_UNICODE_FAST" ? 18 : 17, libc: 0 };
  if (targetMajor < need[source.localeProvider]) {
    return fail(subject, {
      finding: `the source sorts by ${
        describeLocale(source)
      }, which PostgreSQL ${targetMajor} does not support`,
      fix: `use a target of version ${
        need[source.localeProvider]
      } or newer, or create an empty database there yourself`,
    });
  }
  if (source.localeProvider === "icu" && !locales.hasIcu) {
    return fail(subject, {
      finding: "the source sorts by ICU, and the target was built without it",
      fix: "use a target with ICU, or create an empty database there yourself",
    });
  }
  const wanted = localesToTry(planned, locales);
  const missing = wanted.filter((locale) => tried.get(locale) === false);
  if (missing.length > 0) {
    return fail(subject, {
      finding: `the target's operating system has no locale ${missing.join(", ")}`,
      fix: "install it there, or create an empty database yourself with an existing locale",
    });
  }
  const unknown = wanted.filter((locale) => tried.get(locale) === undefined);
  return unknown.length === 0 ? pass(subject, describeLocale(source)) : warn(subject, {
    finding: `whether the target's operating system has locale ${unknown.join(", ")} is unknown`,
    fix: "create an empty database there yourself, so that init uses its locale",
  });
}

/**
 * Locales that a new database needs and the target is not known to have.
 */
export function localesToTry(
  { source, action }: PlannedDatabase,
  locales: LocaleFacts,
): readonly string[] {
  if (action === "fill-empty") return [];
  return [...new Set([source.collate, source.ctype])].filter((name) => !knowsLocale(locales, name));
}

function describeLocale(
  { localeProvider, locale, collate, ctype }: Pick<
    PlannedDatabase["source"],
    "localeProvider" | "locale" | "collate" | "ctype"
  >,
): string {
  if (localeProvider !== "libc") return `${localeProvider} ${locale ?? collate}`;
  return collate === ctype ? collate : `${collate}, character types ${ctype}`;
}
