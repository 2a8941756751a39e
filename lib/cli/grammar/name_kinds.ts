/** What shells ask for with `completions`, besides their scripts: names of the source. */
export const nameKinds = ["databases", "tables"] as const;

/** One of {@linkcode nameKinds}. */
export type NameKind = typeof nameKinds[number];
