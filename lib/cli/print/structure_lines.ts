import { formatCount, plural } from "../../core/internal.ts";
import type { ObjectDifference, VerifiedSection } from "../../verify/internal.ts";
import { printable, sectionTitle, type Style } from "../../ui/mod.ts";

/**
 * Expected differences with the same reason are grouped; beyond this many, they are only counted.
 */
const maxObjects = 5;

/**
 * Everything except rows: differences by section, then expected differences, then what is equal.
 */
export function structureLines(sections: readonly VerifiedSection[], style: Style): string[] {
  const equal = sections.filter(({ verdict, compared }) => verdict === "equal" && compared > 0);
  const notes = sections.flatMap((section) => section.notes);
  return [
    ...sections.filter(({ verdict }) => verdict !== "equal").flatMap((section) =>
      sectionLines(section, style)
    ),
    ...noteLines(notes, style),
    ...(equal.length === 0 ? [] : [
      "",
      `  ${style.green("✓ equal")} ${
        equal.map(({ section, compared }) => `${sectionTitle(section)} (${formatCount(compared)})`)
          .join(", ")
      }`,
    ]),
  ];
}

function sectionLines(section: VerifiedSection, style: Style): string[] {
  const { verdict, compared, differences, reason } = section;
  const words = verdict === "different"
    ? style.red("✗ DIFFERENT")
    : style.yellow("? not fully checked");
  return [
    "",
    `  ${words} ${style.bold(sectionTitle(section.section))}: ${
      verdict === "different" ? `${formatCount(differences.length)} of ` : ""
    }${formatCount(compared)} compared${reason === undefined ? "" : `; ${printable(reason)}`}`,
    ...differences.flatMap((difference) => objectDifferenceLines(difference, style)),
  ];
}

function objectDifferenceLines(
  { object, message, remedy }: ObjectDifference,
  style: Style,
): string[] {
  return [
    `    ${style.red("✗")} ${printable(`${object}: ${message}`)}`,
    ...(remedy === undefined ? [] : [style.dim(`        → ${printable(remedy)}`)]),
  ];
}

function noteLines(notes: readonly ObjectDifference[], style: Style): string[] {
  if (notes.length === 0) return [];
  const groups = Map.groupBy(notes, ({ reason = "" }) => reason);
  return [
    "",
    `  ${style.yellow("!")} ${style.bold("expected differences")}`,
    ...[...groups].flatMap(([reason, group]) => [
      `    ${printable(reason)}:`,
      ...group.slice(0, maxObjects).map(({ object, message }) =>
        style.dim(`      ${printable(`${object}: ${message}`)}`)
      ),
      ...(group.length > maxObjects
        ? [
          style.dim(
            `      and ${
              plural(group.length - maxObjects, "more", "more")
            }; --json and --report list all`,
          ),
        ]
        : []),
    ]),
  ];
}
