/**
 * The report of a run, from what its recorder has kept.
 *
 * @module
 */
import { displayName } from "../../core/internal.ts";
import type {
  CopiedBefore,
  DatabaseReport,
  InitReport,
  TableReport,
} from "../shared/init_report.ts";
import type { InitPlan } from "../shared/init_plan.ts";
import type { Recorder } from "../shared/recorder.ts";

/** The report of what a run has done so far. */
export function reportOf(
  { plan, databases, recorder, ms, failure }:
    & Pick<InitReport, "plan" | "databases" | "ms" | "failure">
    & { readonly recorder: Recorder },
): InitReport {
  const { steps, warnings, timeline, throttle, retries } = recorder;
  const tables = databases.flatMap((database) => database.tables);
  return {
    ...{ plan, databases, steps, warnings, timeline, governor: throttle, retries, ms },
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
    ...copiedBefore(tables),
    ...(failure === undefined ? {} : { failure }),
  };
}

function copiedBefore(tables: readonly TableReport[]): Pick<InitReport, "before"> {
  const parts = tables.flatMap((table): CopiedBefore[] =>
    table.earlier ? [table] : table.before === undefined ? [] : [table.before]
  );
  if (parts.length === 0) return {};
  return {
    before: {
      rows: parts.reduce((sum, { rows }) => sum + rows, 0),
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    },
  };
}

/** Databases that were started and are not complete, with their copied tables. */
export function unfinishedDatabases(
  { plan, databases, recorder }: {
    readonly plan: InitPlan;
    readonly databases: readonly DatabaseReport[];
    readonly recorder: Recorder;
  },
): readonly DatabaseReport[] {
  const complete = new Set(databases.map(({ source }) => source));
  return plan.databases.flatMap(({ source, target, tables }) => {
    const steps = recorder.steps.filter(({ database }) => database === source);
    if (complete.has(source) || steps.length === 0) return [];
    const finished = new Map(
      recorder.tables.filter(({ database }) => database === source)
        .map(({ table, rows, bytes, ms }) => [table, { rows, bytes, ms }]),
    );
    return [{
      source,
      target,
      tables: tables.flatMap(({ schema, name }) => {
        const done = finished.get(displayName({ schema, name }));
        return done === undefined ? [] : [{ schema, name, ...done }];
      }),
      incomplete: true,
      ms: steps.reduce((sum, { ms }) => sum + ms, 0),
    }];
  });
}
