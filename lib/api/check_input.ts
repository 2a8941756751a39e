/**
 * Checks what a caller passes to a verb: TypeScript does so only where nothing is `any`, and no
 * type can say that `jobs` is from 1 to 64. Ranges and choices are those of the option table.
 *
 * @module
 */
import { z } from "zod";
import {
  describeInput,
  minimums,
  optionTable,
  repairModes,
  schemaProblems,
  type ValuePath,
} from "../config/internal.ts";
import type { Problem } from "../core/internal.ts";
import { type Endpoint, type ResolveEnvironment, urlHint } from "../postgres/internal.ts";
import type { TableRules } from "../rules/internal.ts";
import type { VerifyJournal } from "../verify/internal.ts";
import type {
  CleanupInput,
  CopyInput,
  InitInput,
  ReplicationInput,
  RunInput,
  ScopeInput,
  ServersInput,
  StatusInput,
  SyncInput,
  ValidateInput,
  VerbInputs,
  VerifyInput,
} from "./inputs.ts";
import type {
  CutoverFinishInput,
  CutoverInputs,
  CutoverPrepareInput,
  CutoverRehearseInput,
  CutoverSwitchInput,
} from "./cutover_inputs.ts";
import { propertyNames } from "./property_names.ts";

/** A schema for each field; a field without one does not compile. */
type Shape<Input> = { readonly [Name in keyof Input]-?: z.ZodType<Input[Name]> };

/** Everything wrong with a verb's input, and the part of it that is right. */
export interface CheckedInput<Input> {
  readonly problems: readonly Problem[];
  /** The properties without a problem. */
  readonly sound: Partial<Input>;
}

const words = { keyWord: "property", objectWord: "object" } as const;

/** Checks the input of a verb: names, types and ranges of all properties. */
export function checkInput<Verb extends keyof CheckableInputs>(
  verb: Verb,
  input: unknown,
): CheckedInput<CheckableInputs[Verb]> {
  const schema = schemas[verb](isObject(input) ? input : {});
  return check<CheckableInputs[Verb]>(schema, { name: "input", value: input });
}

/** The input of every verb. */
interface CheckableInputs extends VerbInputs, CutoverInputs {}

/** Checks the second parameter of a verb. */
export function checkRun(run: unknown): readonly Problem[] {
  return check<RunInput>(z.strictObject(runShape), { name: "run", value: run }).problems;
}

function check<Input>(
  schema: z.ZodType,
  { name, value }: { readonly name: string; readonly value: unknown },
): CheckedInput<Input> {
  const { error } = schema.safeParse(value);
  if (error === undefined) return { problems: [], sound: value as Input };
  const problems = schemaProblems(error, {
    ...{ schema, value, ...words },
    place: (path) => path.length === 0 ? name : printPath(path),
    otherName: (key) =>
      Object.hasOwn(propertyNames, key)
        ? propertyNames[key as keyof typeof propertyNames]
        : undefined,
  });
  const wrong = new Set(problems.map(({ path }) => /^[^.[]*/.exec(path)?.[0]));
  const sound = isObject(value)
    ? Object.fromEntries(Object.entries(value).filter(([name]) => !wrong.has(name)))
    : {};
  return { problems, sound: sound as Partial<Input> };
}

function printPath(path: ValuePath): string {
  return path.map((part, index) =>
    typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`
  ).join("");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** A value that zod has no type for. */
function custom<Value>(isValid: (value: unknown) => boolean, what: string): z.ZodType<Value> {
  return z.custom<Value>(isValid, {
    error: ({ input }) => `is ${describeInput(input, words)}, must be ${what}`,
  });
}

function callable<Value>(): z.ZodType<Value> {
  return custom(isFunction, "a function");
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

type WholeOption =
  | "jobs"
  | "indexJobs"
  | "copyThreads"
  | "maxDiffs"
  | "barrierAttempts"
  | "sequenceMargin"
  | "rehearseTokens";

function whole(name: WholeOption): z.ZodType<number> {
  const { min, max } = optionTable[name];
  return z.int().min(min).max(max);
}

const names: z.ZodType<string[]> = z.array(z.string());
const variables: z.ZodType<Record<string, string | undefined>> = z.record(
  z.string(),
  z.string().optional(),
);

function isEndpoint(value: unknown): boolean {
  return isObject(value) && Array.isArray(value["hosts"]);
}

const url: z.ZodType<string | Endpoint> = z.custom<string | Endpoint>(
  (value) => typeof value === "string" || isEndpoint(value),
  {
    error: ({ input }) =>
      input === undefined
        ? `is missing; ${urlHint}`
        : `is ${describeInput(input, words)}, must be a URL or the result of resolveEndpoint()`,
  },
);

const runShape: Shape<RunInput> = {
  events: callable<NonNullable<RunInput["events"]>>().optional(),
  signal: custom<AbortSignal>((value) => value instanceof AbortSignal, "an AbortSignal").optional(),
};

const serversShape: Shape<ServersInput> = {
  source: url,
  target: url,
  environment: z.strictObject(
    {
      environment: variables,
      readFile: callable(),
      permissionsOf: callable<NonNullable<ResolveEnvironment["permissionsOf"]>>().optional(),
      warn: callable<NonNullable<ResolveEnvironment["warn"]>>().optional(),
    } satisfies Shape<ResolveEnvironment>,
  ).optional(),
  databases: z.strictObject(
    {
      include: names.optional(),
      exclude: names.optional(),
      map: z.record(z.string(), z.string()).optional(),
    } satisfies Shape<NonNullable<ServersInput["databases"]>>,
  ).optional() as z.ZodType<ServersInput["databases"]>,
};

const rules: z.ZodType<TableRules> = custom(
  (value) =>
    isObject(value) && ["include", "exclude", "rows"].every((name) => Array.isArray(value[name])),
  "the rules of a configuration that was read",
);

const scopeShape: Shape<ScopeInput> = {
  ...serversShape,
  filters: z.strictObject(
    {
      includeTables: names.optional(),
      excludeTables: names.optional(),
      schemaOnlyTables: names.optional(),
      tableFilters: names.optional(),
      timeFilters: names.optional(),
    } satisfies Shape<NonNullable<ScopeInput["filters"]>>,
  ).optional() as z.ZodType<ScopeInput["filters"]>,
  rules: rules.optional(),
};

const copyShape: Shape<CopyInput> = {
  ...scopeShape,
  tools: z.strictObject(
    {
      dump: z.enum(optionTable.dumpTool.values).optional(),
      binDirectory: z.string().optional(),
      environment: variables.optional(),
    } satisfies Shape<NonNullable<CopyInput["tools"]>>,
  ).optional() as z.ZodType<CopyInput["tools"]>,
  jobs: whole("jobs").optional(),
};

const identity = z.enum(optionTable.replicaIdentity.values).optional();
const applyFrom = z.enum(optionTable.applyFrom.values).optional();
const restoreSearchPath = z.enum(optionTable.restoreSearchPath.values).optional();
const splitBytes = z.int().min(minimums.size).optional();
const flag = z.boolean().optional();
const clock: z.ZodType<(() => Date) | undefined> = callable<() => Date>().optional();

const validateShape: Shape<ValidateInput> = {
  ...copyShape,
  forSync: flag,
  forCutover: flag,
  identity,
  applyFrom,
  restoreSearchPath,
  dropExisting: flag,
};

const replicationShape: Shape<ReplicationInput> = {
  identity,
  slotTimeoutMs: z.number().min(minimums.duration).optional(),
  applyFrom,
  sourceFromTarget: url.optional(),
  passfile: z.string().optional(),
  failover: flag,
};

const initShape: Shape<InitInput> = {
  ...copyShape,
  indexJobs: whole("indexJobs").optional(),
  copyFormat: z.enum(optionTable.copyFormat.values).optional(),
  statistics: z.enum(optionTable.statistics.values).optional(),
  toastCompression: z.enum(optionTable.toastCompression.values).optional(),
  restoreSearchPath,
  copyThreads: whole("copyThreads").optional(),
  splitBytes,
  maxBytesPerSecond: z.number().min(minimums.rate).optional(),
  dropExisting: flag,
  sync: z.strictObject(replicationShape).optional(),
  checkpoint: callable<NonNullable<InitInput["checkpoint"]>>().optional(),
  resume: flag,
  allowMixedSnapshots: flag,
  sessionRetryDelaysMs: z.array(z.number().min(0)).optional(),
  databaseRetryDelaysMs: z.array(z.number().min(0)).optional(),
  dryRun: flag,
  confirm: callable<NonNullable<InitInput["confirm"]>>().optional(),
  whileSnapshotHeld: callable<NonNullable<InitInput["whileSnapshotHeld"]>>().optional(),
  onUnfinished: callable<NonNullable<InitInput["onUnfinished"]>>().optional(),
};

type Action = NonNullable<SyncInput["action"]>;
type ActionOf<Kind extends Action["kind"]> = Extract<Action, { readonly kind: Kind }>;

const actions: { readonly [Kind in Action["kind"]]: z.ZodType<ActionOf<Kind>> } = {
  follow: z.strictObject({ kind: z.literal("follow") }),
  copy: z.strictObject({ kind: z.literal("copy"), tables: names, areNew: z.boolean() }),
  skip: z.strictObject({ kind: z.literal("skip"), lsn: z.bigint() }),
  retry: z.strictObject({ kind: z.literal("retry") }),
};
const actionKinds = Object.keys(actions) as (keyof typeof actions)[];

/** By its kind, so that a problem is one of that action, and not of each of them. */
function actionSchema(action: unknown): z.ZodType<Action | undefined> {
  const kind = isObject(action) ? actionKinds.find((each) => each === action["kind"]) : undefined;
  const schema = kind === undefined ? z.looseObject({ kind: z.enum(actionKinds) }) : actions[kind];
  return schema.optional() as z.ZodType<Action | undefined>;
}

const syncShape: Omit<Shape<SyncInput>, "action"> = {
  ...copyShape,
  ...replicationShape,
  splitBytes,
  confirm: callable<NonNullable<SyncInput["confirm"]>>().optional(),
};

const statusShape: Shape<StatusInput> = {
  ...serversShape,
  sampleMs: z.number().min(0).optional(),
  now: clock,
};

const verifyShape: Shape<VerifyInput> = {
  ...scopeShape,
  jobs: whole("jobs").optional(),
  maxDiffs: whole("maxDiffs").optional(),
  showValues: flag,
  repair: z.enum(repairModes).optional(),
  journal: custom<VerifyJournal>(isObject, "a VerifyJournal").optional(),
  now: clock,
};

const cleanupShape: Shape<CleanupInput> = {
  ...serversShape,
  checkpoint: callable<NonNullable<CleanupInput["checkpoint"]>>().optional(),
  confirm: callable<NonNullable<CleanupInput["confirm"]>>().optional(),
};

const durationMs = z.number().min(minimums.duration).optional();

const prepareShape: Shape<CutoverPrepareInput> = {
  ...serversShape,
  wayBack: z.enum(optionTable.wayBack.values).optional(),
  fence: z.enum(optionTable.fence.values).optional(),
  targetFromSource: url.optional(),
  passfile: z.string().optional(),
  confirm: callable<NonNullable<CutoverPrepareInput["confirm"]>>().optional(),
};

const rehearseShape: Shape<CutoverRehearseInput> = {
  ...serversShape,
  maxPauseMs: durationMs,
  tokens: whole("rehearseTokens").optional(),
  brownoutMs: durationMs,
  sequenceMargin: whole("sequenceMargin").optional(),
};

const switchShape: Shape<CutoverSwitchInput> = {
  ...serversShape,
  maxPauseMs: durationMs,
  onBlocker: z.enum(optionTable.onBlocker.values).optional(),
  barrierAttempts: whole("barrierAttempts").optional(),
  sequenceMargin: whole("sequenceMargin").optional(),
  endSessions: flag,
  slotTimeoutMs: durationMs,
  finalCheck: z.enum(optionTable.finalCheck.values).optional(),
  hook: callable<NonNullable<CutoverSwitchInput["hook"]>>().optional(),
  now: clock,
  confirm: callable<NonNullable<CutoverSwitchInput["confirm"]>>().optional(),
  onUnfinished: callable<NonNullable<CutoverSwitchInput["onUnfinished"]>>().optional(),
};

const finishShape: Shape<CutoverFinishInput> = {
  ...serversShape,
  openOldSide: flag,
  confirm: callable<NonNullable<CutoverFinishInput["confirm"]>>().optional(),
};

/** By verb; what may be of two types is checked as the one it resembles. */
const schemas: {
  readonly [Verb in keyof CheckableInputs]: (
    input: Readonly<Record<string, unknown>>,
  ) => z.ZodType;
} = {
  validate: () => z.strictObject(validateShape),
  init: ({ sync }) =>
    z.strictObject({ ...initShape, ...(typeof sync === "boolean" ? { sync: flag } : {}) }),
  sync: ({ action }) => z.strictObject({ ...syncShape, action: actionSchema(action) }),
  status: () => z.strictObject(statusShape),
  verify: () => z.strictObject(verifyShape),
  cleanup: () => z.strictObject(cleanupShape),
  cutoverPrepare: () => z.strictObject(prepareShape),
  cutoverRehearse: () => z.strictObject(rehearseShape),
  cutoverRun: () => z.strictObject(switchShape),
  cutoverRollback: () => z.strictObject(switchShape),
  cutoverFinish: () => z.strictObject(finishShape),
  cutoverStatus: () => z.strictObject(serversShape),
};
