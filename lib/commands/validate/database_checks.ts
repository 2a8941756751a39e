import type { LocaleFacts } from "../../catalog/internal.ts";
import { knowsLocale } from "../../catalog/internal.ts";
import { quoteIdentifier } from "../../core/internal.ts";
import {
  type DatabasePlanning,
  differingProperties,
  type PlannedDatabase,
} from "../shared/database_plan.ts";
import type { Check } from "../shared/report.ts";
import { fail, listNames, pass, warn } from "./check.ts";

/** Is the selection of databases right? */
export function checkSelection(
  { databases, problems, skipped }: Pick<DatabasePlanning, "databases" | "problems" | "skipped">,
): readonly Check[] {
  const subject = { id: "database-selection", side: "source" } as const;
  const checks: Check[] = problems.map(({ path, message }) =>
    fail(subject, `${path}: ${message}`, `correct ${path}`)
  );
  if (databases.length > 0) {
    const names = databases.map(({ source, target }) =>
      source.name === target ? source.name : `${source.name} as ${target}`
    );
    checks.push(pass(subject, `to be copied: ${listNames(names)}`));
  }
  for (const { name, reason } of skipped) {
    const skippedSubject = { id: "database-skipped", side: "source", database: name } as const;
    checks.push(
      reason === "is empty" ? pass(skippedSubject, "left out: it is empty") : warn(
        skippedSubject,
        `left out: it ${reason}`,
        `GRANT CONNECT ON DATABASE ${
          quoteIdentifier(name)
        } TO our role, or leave it out with --exclude-databases`,
      ),
    );
  }
  return checks;
}

/** What happens to the database on the target? */
export function checkTargetEmpty(planned: PlannedDatabase): Check {
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
        `holds our unfinished copy, begun at ${planned.unfinished?.startedAt}: init goes on with it`,
      );
    case "drop-and-create":
      if (planned.unfinished !== undefined) {
        return warn(
          subject,
          `will be dropped and begun anew. Lost with it: ${willBeLost}`,
          "leave --no-resume out to go on with it",
        );
      }
      return warn(
        subject,
        `will be dropped (--drop-existing). Lost with it: ${willBeLost}`,
        "leave --drop-existing out if any of this is needed",
      );
    case "refuse":
      return fail(
        subject,
        refusal ?? "cannot be written",
        contents === undefined
          ? `choose another name: --map ${planned.source.name}=NEW_NAME`
          : "if an earlier init made it, it is complete: status, sync and verify go on with it; else choose another name " +
            `with --map ${planned.source.name}=NEW_NAME, or let --drop-existing destroy what is there`,
      );
  }
}

/** Can the texts be stored there? */
export function checkEncoding({ source, target, action, existing }: PlannedDatabase): Check {
  const subject = { id: "encoding", side: "target", database: target } as const;
  const actual = action === "fill-empty" && existing !== undefined
    ? existing.encoding
    : source.encoding;
  if (source.encoding === "SQL_ASCII") {
    if (actual === "SQL_ASCII") {
      return pass(subject, "SQL_ASCII: texts come as the bytes that they are");
    }
    return warn(
      subject,
      `the source is in SQL_ASCII, that is, in no encoding: texts that are not valid ${actual} will be refused`,
      `find out which encoding the texts have; convert the source before if it is not ${actual}, or let init create the database like the source`,
    );
  }
  if (actual === source.encoding) return pass(subject, actual);
  if (actual === "UTF8") return pass(subject, `${source.encoding} is converted to UTF8`);
  return fail(
    subject,
    `the source is in ${source.encoding}, the target in ${actual}, which lacks some of its characters`,
    "drop the empty database on the target, init then creates it like the source; or use --drop-existing",
  );
}

/** Whether the target's system has the locale; undefined when that cannot be told. */
export type LocaleAnswer = boolean | undefined;

/** Can the target sort as the source does? */
export function checkLocale(
  planned: PlannedDatabase,
  { locales, targetMajor, tried }: {
    readonly locales: LocaleFacts;
    readonly targetMajor: number;
    /** What trying locales of the operating system gave, by name. */
    readonly tried: ReadonlyMap<string, LocaleAnswer>;
  },
): Check {
  const { source, target, action, existing } = planned;
  const subject = { id: "locale", side: "target", database: target } as const;
  if (action === "fill-empty" && existing !== undefined) {
    const differences = differingProperties(source, existing).filter((each) => each !== "encoding");
    return differences.length === 0 ? pass(subject, describeLocale(source)) : warn(
      subject,
      `the empty database there has another ${differences.join(", ")} (${
        describeLocale(existing)
      }, the source ${describeLocale(source)}): texts may be sorted and compared differently`,
      "drop the empty database on the target, init then creates it like the source; or use --drop-existing",
    );
  }
  const need = { icu: 15, builtin: source.locale === "PG_UNICODE_FAST" ? 18 : 17, libc: 0 };
  if (targetMajor < need[source.localeProvider]) {
    return fail(
      subject,
      `the source sorts by ${
        describeLocale(source)
      }, which PostgreSQL ${targetMajor} cannot make a database with`,
      `use a target of version ${
        need[source.localeProvider]
      } or newer, or create the database there yourself, empty`,
    );
  }
  if (source.localeProvider === "icu" && !locales.hasIcu) {
    return fail(
      subject,
      "the source sorts by ICU, and the target was built without",
      "use a target with ICU, or create the database there yourself, empty",
    );
  }
  const wanted = localesToTry(planned, locales);
  const missing = wanted.filter((locale) => tried.get(locale) === false);
  if (missing.length > 0) {
    return fail(
      subject,
      `the target's system has no locale ${missing.join(", ")}`,
      "install it there, or create the database yourself, empty, with a locale that is there",
    );
  }
  const unknown = wanted.filter((locale) => tried.get(locale) === undefined);
  return unknown.length === 0 ? pass(subject, describeLocale(source)) : warn(
    subject,
    `whether the target's system has locale ${unknown.join(", ")} cannot be told`,
    "create the database there yourself, empty; then init has nothing to guess",
  );
}

/**
 * Locales of the operating system that a new database takes and the target is not known to have.
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
