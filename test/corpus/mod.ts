/**
 * Everything in a PostgreSQL database that a copy can get wrong.
 *
 * @module
 */
import {
  generatedColumns,
  shapes,
  storage,
  storage13,
  storage14,
  virtualColumns,
} from "./columns.ts";
import type { CorpusEntry } from "./entry.ts";
import { extensions, foreignData } from "./extensions.ts";
import { functions, functions14, operators } from "./functions.ts";
import { constraints, constraints15, constraints18 } from "./keys.ts";
import { names } from "./names.ts";
import { inheritance, partitions, partitions13, partitions17 } from "./partitions.ts";
import { comments, invalidIndex, largeObjects, publications } from "./rest.ts";
import { privileges, roles, rowSecurity } from "./roles.ts";
import { eventTriggers, triggers } from "./triggers.ts";
import { enumValues, types, types14 } from "./types.ts";
import { bigFields, values, values14, values17 } from "./values.ts";
import { views, views15 } from "./views.ts";

export type { CorpusEntry, CorpusMajor } from "./entry.ts";
export { hugeFields } from "./values.ts";
export { NASTY_NAMES } from "./names.ts";
export { NASTY_ROLE } from "./roles.ts";
export { invalidIndex } from "./rest.ts";
export { loadCorpus } from "./load.ts";

/** All entries in load order. */
export const CORPUS: readonly CorpusEntry[] = [
  roles,
  names,
  values,
  values14,
  values17,
  bigFields,
  shapes,
  generatedColumns,
  virtualColumns,
  storage,
  storage13,
  storage14,
  constraints,
  constraints15,
  constraints18,
  partitions,
  partitions13,
  partitions17,
  inheritance,
  types,
  enumValues,
  types14,
  extensions,
  foreignData,
  views,
  views15,
  triggers,
  functions,
  functions14,
  operators,
  largeObjects,
  publications,
  comments,
  rowSecurity,
  invalidIndex,
  privileges,
  eventTriggers,
];

/** The entries that a version supports. */
export function corpusOf(major: number): readonly CorpusEntry[] {
  return CORPUS.filter((entry) => entry.minMajor <= major);
}
