import {
  type AvailableExtension,
  compareExtensionVersions,
  type Extension,
  preloadNeed,
} from "../../catalog/internal.ts";
import { plural, quoteIdentifier, suggest } from "../../core/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { fail, failIf, pass, warn } from "./check.ts";
import type { ServerFacts } from "./facts.ts";

/** Does the target offer every extension in a usable version? */
export function checkExtensions(
  database: string,
  { installed, available, present, target }: {
    readonly installed: readonly Extension[];
    readonly available: readonly AvailableExtension[];
    /** Extensions of the existing target database. */
    readonly present: readonly string[];
    readonly target: Pick<ServerFacts, "role" | "activity" | "provider">;
  },
): readonly Check[] {
  const subject = { id: "extensions", side: "target", database } as const;
  const checks = installed.flatMap((extension) => {
    const offer = available.find(({ name }) => name === extension.name);
    if (present.includes(extension.name)) return [];
    if (offer === undefined) {
      const near = suggest(extension.name, available.map(({ name }) => name), 1);
      return [
        fail(subject, {
          finding: `the target does not offer extension ${extension.name} ${extension.version}` +
            (near.length === 0 ? "" : ` (it has ${near[0]})`),
          fix:
            `install the extension's files on the target, or, if nothing needs it, DROP EXTENSION ${
              quoteIdentifier(extension.name)
            }; on the source`,
        }),
      ];
    }
    return [
      ...checkVersion(subject, { extension, offer }),
      ...checkPreload(subject, { extension, target }),
      ...checkCreatable(subject, { offer, target }),
    ];
  });
  return checks.length > 0
    ? checks
    : [pass(subject, `${plural(installed.length, "extension")}, all offered by the target`)];
}

type Subject = Parameters<typeof pass>[0];

function checkVersion(
  subject: Subject,
  { extension, offer }: { readonly extension: Extension; readonly offer: AvailableExtension },
): readonly Check[] {
  if (compareExtensionVersions(offer.defaultVersion, extension.version) >= 0) return [];
  const name = quoteIdentifier(extension.name);
  return [
    warn(subject, {
      finding:
        `extension ${extension.name} is ${extension.version} on the source; the target creates ${offer.defaultVersion}`,
      fix: offer.versions.includes(extension.version)
        ? `create it there first: CREATE EXTENSION ${name} VERSION '${extension.version}';`
        : `install version ${extension.version} or newer on the target, if its newer functions are used`,
    }),
  ];
}

function checkPreload(
  subject: Subject,
  { extension: { name }, target }: {
    readonly extension: Extension;
    readonly target: Pick<ServerFacts, "activity">;
  },
): readonly Check[] {
  const need = preloadNeed(name);
  const libraries = target.activity.settings.shared_preload_libraries;
  // ordinary roles cannot read it
  if (need === undefined || libraries === undefined) return [];
  if (libraries.split(",").some((each) => each.trim().replaceAll('"', "") === name)) return [];
  return [failIf(need.required, subject, {
    finding:
      `extension ${name} requires its library to be preloaded, and the target's shared_preload_libraries is ${
        libraries === "" ? "empty" : libraries
      }`,
    fix: `add ${name} to shared_preload_libraries of the target and restart it`,
  })];
}

function checkCreatable(
  subject: Subject,
  { offer, target }: {
    readonly offer: AvailableExtension;
    readonly target: Pick<ServerFacts, "role" | "provider">;
  },
): readonly Check[] {
  if (!offer.needsSuperuser || target.role.superuser) return [];
  const name = quoteIdentifier(offer.name);
  // managed servers allow their admin role to create the extensions that they offer
  return [failIf(target.provider === undefined, subject, {
    finding:
      `extension ${offer.name} can be created by superusers only, and ${target.role.name} is not a superuser`,
    fix: target.provider === undefined
      ? `let a superuser run CREATE EXTENSION ${name}; in the (empty) target database first`
      : `check whether ${target.provider.name} allows its admin role to create it`,
  })];
}
