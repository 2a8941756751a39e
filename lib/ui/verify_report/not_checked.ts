import type { VerifyView } from "./verify_view.ts";

type NotCheckedItem = VerifyView["notChecked"][number];

/** What was not checked, and in which databases. */
export interface NotCheckedGroup extends Omit<NotCheckedItem, "database"> {
  /** Empty if it concerns no database in particular. */
  readonly databases: readonly string[];
}

/** Says once what holds for several databases; what failed comes first. */
export function groupNotChecked(items: readonly NotCheckedItem[]): readonly NotCheckedGroup[] {
  const groups = Map.groupBy(
    items,
    ({ what, reason, failed }) => JSON.stringify([what, reason, failed]),
  );
  return [...groups.values()].map(([first, ...others]): NotCheckedGroup => {
    const { database: _, ...same } = first!;
    return { ...same, databases: [first!, ...others].flatMap(({ database }) => database ?? []) };
  }).sort((a, b) => Number(b.failed) - Number(a.failed));
}

/** The title of a section of compared objects: views are compared with the tables. */
export function sectionTitle(section: string): string {
  return section === "tables" ? "tables and views" : section.replaceAll("-", " ");
}
