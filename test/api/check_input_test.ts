/** What the library refuses: every problem at once, by property, before anything connects. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { propertyNames } from "../../lib/api/property_names.ts";
import { optionsOf } from "../../lib/config/internal.ts";
import {
  cleanup,
  cutoverFinish,
  cutoverPrepare,
  cutoverRehearse,
  cutoverRollback,
  cutoverRun,
  cutoverStatus,
  init,
  resolveOptions,
  status,
  sync,
  UsageError,
  validate,
  type VerbInputs,
  verify,
} from "../../mod.ts";

const verbs = { cleanup, init, status, sync, validate, verify };
type Verb = keyof VerbInputs;
const cutoverVerbs = {
  cutoverFinish,
  cutoverPrepare,
  cutoverRehearse,
  cutoverRollback,
  cutoverRun,
  cutoverStatus,
};
type CutoverVerb = keyof typeof cutoverVerbs;

// nothing listens there: a verb that connects fails with another error
const servers = {
  source: "postgresql://me@127.0.0.1:1/app",
  target: "postgresql://me@127.0.0.1:1/app",
};

/** As a program without types calls it. */
async function problemsOf(
  verb: Verb | CutoverVerb,
  input: unknown,
  run?: unknown,
): Promise<readonly string[]> {
  const call = { ...verbs, ...cutoverVerbs }[verb] as (
    input: unknown,
    run?: unknown,
  ) => Promise<unknown>;
  const error = await call(input, run).then(() => undefined, (error: unknown) => error);
  if (error instanceof UsageError) {
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
  throw error ?? new Error("it was accepted");
}

const hint = "use a URL like postgresql://user@host:5432/database";

const refused: readonly (readonly [
  Verb | CutoverVerb,
  Readonly<Record<string, unknown>>,
  readonly string[],
])[] = [
  ["cutoverPrepare", { wayBack: "maybe", passfile: "pgpass", confirm: "yes", sync: true }, [
    'wayBack: the string "maybe" is not one of replicate, none',
    'confirm: is the string "yes", must be a function',
    "sync: is not a known property; must be one of source, target, environment, databases, " +
    "wayBack, fence, targetFromSource, passfile, confirm",
    'passfile: "pgpass" must be a full path: the file is on the source\'s server',
  ]],
  ["cutoverRehearse", { maxPauseMs: 1, tokens: 0, brownoutMs: "500ms", maxPause: "5s" }, [
    "maxPauseMs: is the number 1, must be at least 100",
    "tokens: is the number 0, must be at least 1",
    'brownoutMs: is the string "500ms", must be a number',
    "maxPause: is not a known property; did you mean maxPauseMs?",
  ]],
  ["cutoverRun", { onBlocker: "kill", barrierAttempts: 1001, hook: "true", keepSessions: true }, [
    'onBlocker: the string "kill" is not one of wait, cancel, terminate',
    "barrierAttempts: is the number 1001, must be at most 1000",
    'hook: is the string "true", must be a function',
    "keepSessions: is not a known property; did you mean endSessions?",
  ]],
  ["cutoverRollback", { finalCheck: "rows", endSessions: 1 }, [
    "endSessions: is the number 1, must be true or false",
    'finalCheck: the string "rows" is not one of structure, counts',
  ]],
  ["cutoverFinish", { openOldSide: "no" }, [
    'openOldSide: is the string "no", must be true or false',
  ]],
  ["cutoverStatus", { source: "mysql://a/b", databases: { include: "app" } }, [
    'databases.include: is the string "app", must be a list',
    'source: begins with "mysql://"; a connection URL begins with "postgresql://"',
  ]],
  ["init", { jobs: 0, indexJobs: 1000, copyThreads: Number.NaN }, [
    "jobs: is the number 0, must be at least 1",
    "indexJobs: is the number 1000, must be at most 64",
    "copyThreads: is NaN, must be a number",
  ]],
  ["init", { splitBytes: 1, maxBytesPerSecond: 1, databaseRetryDelaysMs: [-1] }, [
    "splitBytes: is the number 1, must be at least 1048576",
    "maxBytesPerSecond: is the number 1, must be at least 65536",
    "databaseRetryDelaysMs[0]: is the number -1, must be at least 0",
  ]],
  ["init", { databases: { include: "app" }, filters: { excludeTable: ["app.t"] } }, [
    'databases.include: is the string "app", must be a list',
    "filters.excludeTable: is not a known property; did you mean excludeTables or includeTables?",
  ]],
  ["init", { filter: {}, dryrun: true, maxRate: "1MB" }, [
    "filter: is not a known property; did you mean filters?",
    "dryrun: is not a known property; did you mean dryRun?",
    "maxRate: is not a known property; did you mean maxBytesPerSecond?",
  ]],
  ["init", { source: undefined, target: "", jobs: 1.5 }, [
    `source: is missing; ${hint}`,
    "jobs: is the number 1.5, must be a whole number",
    `target: is empty; ${hint}`,
  ]],
  ["init", { sync: { identity: "ful", slotTimeoutMs: 0 }, confirm: true, dropExisting: "yes" }, [
    'dropExisting: is the string "yes", must be true or false',
    'sync.identity: the string "ful" is not one of fail, full, skip; did you mean full?',
    "sync.slotTimeoutMs: is the number 0, must be at least 100",
    "confirm: is true, must be a function",
  ]],
  ["init", { sync: { passfile: "pgpass" } }, [
    'sync.passfile: "pgpass" must be a full path: the file is on the target\'s server',
  ]],
  ["init", { filters: { includeTables: ["app.a"], excludeTables: ["app.b"] } }, [
    "filters.excludeTables: cannot be combined with filters.includeTables: use either include or exclude",
  ]],
  ["validate", { identity: "ful", restoreSearchPath: "mine", jobs: null }, [
    "jobs: is null, must be a number",
    'identity: the string "ful" is not one of fail, full, skip; did you mean full?',
    'restoreSearchPath: the string "mine" is not one of empty, own',
  ]],
  ["sync", { action: { kind: "skip", lsn: "0/1" }, jobs: 65 }, [
    "jobs: is the number 65, must be at most 64",
    'action.lsn: is the string "0/1", must be a bigint',
  ]],
  ["sync", { action: { kind: "retrie" } }, [
    'action.kind: the string "retrie" is not one of follow, copy, skip, retry; did you mean retry?',
  ]],
  ["status", { sampleMs: -1, jobs: 4 }, [
    "sampleMs: is the number -1, must be at least 0",
    "jobs: is not a known property; must be one of source, target, environment, databases, " +
    "sampleMs, now",
  ]],
  ["verify", { maxDiffs: -1, repair: true }, [
    "maxDiffs: is the number -1, must be at least 0",
    "repair: true is not one of no, print, follow",
  ]],
  ["cleanup", { checkpoint: ".state", checkpoints: () => {} }, [
    'checkpoint: is the string ".state", must be a function',
    "checkpoints: is not a known property; did you mean checkpoint?",
  ]],
];

for (const [verb, input, expected] of refused) {
  Deno.test(`${verb}() refuses ${Object.keys(input).join(", ")}`, async () => {
    deepStrictEqual(await problemsOf(verb, { ...servers, ...input }), expected);
  });
}

for (const verb of Object.keys({ ...verbs, ...cutoverVerbs }) as (Verb | CutoverVerb)[]) {
  Deno.test(`${verb}() refuses a missing input, and what is wrong with the run`, async () => {
    deepStrictEqual(await problemsOf(verb, undefined), ["input: is missing"]);
    deepStrictEqual(
      await problemsOf(verb, { ...servers, source: 5 }, { event: console.log, signal: 1 }),
      [
        "source: is the number 5, must be a URL or the result of resolveEndpoint()",
        "signal: is the number 1, must be an AbortSignal",
        "event: is not a known property; did you mean events?",
      ],
    );
  });
}

Deno.test("a wrong type does not hide the problems of URLs and filters", async () => {
  const problems = await problemsOf("verify", {
    source: "mysql://me:secret@old.example.com/app",
    target: servers.target,
    jobs: "4",
    filters: { tableFilters: ["app.orders"] },
  });
  deepStrictEqual(problems.map((each) => /^[^:]*/.exec(each)?.[0]), [
    "jobs",
    "source",
    "filters.tableFilters",
  ]);
  ok(!problems.join().includes("secret"));
});

Deno.test("a value that looks like a flag is quoted as it is", async () => {
  const [problem] = await problemsOf("init", {
    ...servers,
    filters: { excludeTables: ['a.b.c.d."--jobs"'] },
  });
  match(problem!, /^filters\.excludeTables: .*--jobs/);
});

/** Compiles only if both types have the same names. */
type SameNames<A, B> = [keyof A, keyof B] extends [keyof B, keyof A] ? true : false;

/** Each property with a valid value. A new one does not compile until it is here. */
const complete: { readonly [V in Verb]: Required<VerbInputs[V]> } = (() => {
  const run = () => Promise.resolve();
  const scope = {
    ...servers,
    environment: { environment: {}, readFile: () => Promise.resolve(undefined) },
    databases: { include: ["app"], exclude: [], map: { app: "shop" } },
    filters: { excludeTables: ["app.audit_log"] },
    rules: { include: [], exclude: [], rows: [], now: "2026-01-01T00:00:00.000Z" },
  };
  const copy = { ...scope, tools: { dump: "embedded" as const }, jobs: 64 };
  const { filters: _filters, rules: _rules, ...two } = scope;
  const replication = {
    identity: "full" as const,
    slotTimeoutMs: 100,
    applyFrom: "target" as const,
    sourceFromTarget: servers.source,
    passfile: "/pgpass",
    failover: false,
  };
  const checkpoint = () => ({
    place: "nowhere",
    read: () => Promise.resolve(undefined),
    write: run,
    remove: run,
  });
  const confirm = () => true;
  const now = () => new Date(0);
  const journal = {} as Required<VerbInputs["verify"]>["journal"];
  return {
    validate: {
      ...{ ...copy, forSync: true, identity: "skip", applyFrom: "here", restoreSearchPath: "own" },
      dropExisting: true,
      forCutover: false,
    },
    init: {
      ...{ ...copy, indexJobs: 1, copyFormat: "binary", restoreSearchPath: "own", copyThreads: 0 },
      statistics: "none",
      toastCompression: "pglz",
      ...{ splitBytes: 1 << 20, maxBytesPerSecond: 1 << 16, dropExisting: true, sync: replication },
      ...{
        checkpoint,
        resume: false,
        allowMixedSnapshots: true,
        sessionRetryDelaysMs: [],
        databaseRetryDelaysMs: [],
        dryRun: true,
      },
      ...{ confirm, whileSnapshotHeld: run, onUnfinished: run },
    },
    sync: {
      ...{ ...copy, ...replication, splitBytes: 1 << 20, confirm },
      action: { kind: "skip", lsn: 1n },
    },
    status: { ...two, sampleMs: 0, now },
    verify: { ...scope, jobs: 1, maxDiffs: 0, showValues: false, repair: "print", journal, now },
    cleanup: { ...two, checkpoint, confirm },
  };
})();

Deno.test("every property of every input is known", async () => {
  for (const verb of Object.keys(complete) as Verb[]) await resolveOptions(verb, complete[verb]);
  const same: SameNames<typeof complete, VerbInputs> = true;
  ok(same);
});

Deno.test("sync of init may be true, false or an object", async () => {
  for (const sync of [true, false, {}]) await resolveOptions("init", { ...servers, sync });
  await rejects(
    resolveOptions("init", { ...servers, sync: "yes" as never }),
    /^UsageError: sync: /,
  );
});

Deno.test("every option of the verbs has a property, or belongs to the command line", () => {
  const ownOptions = [
    ...["config", "interactive", "report", "json", "logLevel", "logFormat", "color"],
    ...["explainRules", "watch", "interval", "check", "maxLagBytes", "maxLagSeconds"],
    ...["prometheus", "yes", "remote", "local", "workers", "hookTimeout"],
  ];
  const missing = [...Object.keys(verbs) as Verb[], "cutover" as const].flatMap((verb) =>
    optionsOf(verb).map(({ name }) => name)
  ).filter((name) => propertyNames[name] === undefined && !ownOptions.includes(name));
  strictEqual(missing.join(), "");
});
