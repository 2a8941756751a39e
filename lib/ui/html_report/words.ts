import { formatBytes, stepTitles, type WorkKind } from "../../core/internal.ts";

/** The kinds of work, in the order of a chart. */
export const workKinds: readonly WorkKind[] = ["copy", "index", "foreign-key", "analyze"];

/** The step that a kind of work belongs to, the label of its lanes, and the name of one piece. */
export const workWords: Readonly<
  Record<WorkKind, { readonly title: string; readonly lane: string; readonly piece: string }>
> = {
  "copy": { title: stepTitles.data, lane: "rows", piece: "rows" },
  "index": { title: stepTitles.indexes, lane: "index", piece: "index or key" },
  "foreign-key": { title: stepTitles["foreign-keys"], lane: "fkey", piece: "foreign key" },
  "analyze": { title: stepTitles.analyze, lane: "analyze", piece: "ANALYZE" },
};

/** `12.3 MB/s`; empty when no time was measured. */
export function formatRate(bytes: number, ms: number): string {
  return ms > 0 ? `${formatBytes(bytes / (ms / 1000))}/s` : "";
}

/** `93 %` for 0.93. */
export function formatShare(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}
