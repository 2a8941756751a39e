import { formatBytes, type WorkKind } from "../../core/internal.ts";

/** The kinds of work, in the order in which they stand in a chart. */
export const workKinds: readonly WorkKind[] = ["copy", "index", "foreign-key", "analyze"];

/** What sessions of a kind do, and what one of them is called beside its lane. */
export const workWords: Readonly<
  Record<WorkKind, { readonly title: string; readonly lane: string; readonly piece: string }>
> = {
  "copy": { title: "Copying rows", lane: "rows", piece: "rows" },
  "index": { title: "Building indexes and keys", lane: "index", piece: "index or key" },
  "foreign-key": { title: "Checking foreign keys", lane: "fkey", piece: "foreign key" },
  "analyze": { title: "Planner statistics", lane: "stats", piece: "statistics" },
};

/** `12.3 MB/s`; empty where the time is too short to tell. */
export function formatRate(bytes: number, ms: number): string {
  return ms > 0 ? `${formatBytes(bytes / (ms / 1000))}/s` : "";
}

/** `93 %`, of a fraction. */
export function formatShare(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}
