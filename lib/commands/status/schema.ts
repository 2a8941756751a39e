/**
 * The schema of the status report; `docs/reference/status.schema.json` is generated from it.
 *
 * @module
 */
import { severities } from "../../core/internal.ts";
import { z } from "zod";
import { cutoverPhases } from "../../cutover/internal.ts";
import { driftKinds, streamStates, tableStates, walStatuses } from "../../replication/internal.ts";

const nullable = (schema: z.ZodType<number>) => schema.nullable();
const bytes = z.number().min(0);
const text = z.string().nullable();
const lsn = z.string().regex(/^[0-9A-F]+\/[0-9A-F]+$/).nullable();
const count = z.int().min(0);

const server = z.strictObject({
  url: z.string().meta({ description: "The URL without its password." }),
  reachable: z.boolean(),
  version: text,
  problem: text.meta({ description: "Why it is unreachable." }),
});

const slot = z.strictObject({
  active: z.boolean(),
  activePid: z.int().nullable(),
  restartLsn: lsn,
  confirmedFlushLsn: lsn,
  retainedBytes: nullable(bytes).meta({ description: "WAL that it retains on the source's disk." }),
  walStatus: z.enum(walStatuses).nullable().meta({
    description: "13+",
  }),
  safeWalBytes: z.number().nullable().meta({
    description: "WAL that can be written before it may be lost; null without a limit. 13+",
  }),
  hoursUntilLost: nullable(z.number().min(0)),
  invalidationReason: text,
});

const client = z.strictObject({
  transactions: count,
  changes: count,
  idleSeconds: z.number().nullable(),
  error: z.strictObject({
    message: z.string(),
    sqlState: text,
    details: z.array(z.string()),
    finishLsn: text,
  }).nullable(),
});

const subscription = z.strictObject({
  client: client.optional().meta({
    description: "What the tool's own process has applied; missing for a subscription.",
  }),
  enabled: z.boolean(),
  slotName: text,
  publications: z.array(z.string()),
  workerPid: z.int().nullable(),
  receivedLsn: lsn,
  appliedLsn: lsn,
  silenceSeconds: z.number().nullable(),
  applyErrors: count.nullable().meta({ description: "15+" }),
  syncErrors: count.nullable().meta({ description: "15+" }),
  conflicts: z.record(z.string(), count).meta({ description: "By kind. 18+" }),
  blockedBy: z.array(z.strictObject({
    pid: z.int(),
    user: text,
    application: text,
    transactionSeconds: z.number().nullable(),
  })),
  tables: z.array(z.strictObject({
    schema: z.string(),
    name: z.string(),
    state: z.enum(tableStates),
    lsn,
  })),
});

const stream = z.strictObject({
  name: z.string(),
  epoch: z.int().min(1),
  createdAt: text,
  state: z.enum(streamStates),
  lagBytes: nullable(bytes),
  lagSeconds: nullable(z.number().min(0)),
  appliedBytesPerSecond: nullable(bytes),
  catchUpSeconds: nullable(z.number().min(0)),
  slot: slot.nullable(),
  publication: z.strictObject({ tables: count, allTables: z.boolean() }).nullable(),
  subscription: subscription.nullable(),
});

const database = z.strictObject({
  source: text,
  target: text,
  streams: z.array(stream),
  drift: z.array(z.strictObject({
    kind: z.enum(driftKinds),
    schema: z.string(),
    name: z.string(),
    column: text,
    message: z.string(),
  })).nullable(),
  sequences: z.array(z.strictObject({
    schema: z.string(),
    name: z.string(),
    source: z.string().regex(/^-?\d+$/),
    target: z.string().regex(/^-?\d+$/),
    distance: z.number(),
  })).nullable(),
  setAside: z.array(z.string()).nullable().meta({
    description: "Objects that init set aside, still to be created.",
  }),
  cutover: z.strictObject({
    phase: z.enum(cutoverPhases),
    since: z.string(),
    foreignChanges: z.int().nullable().optional(),
    refusedWrites: z.int().nullable().optional(),
    wayBack: z.strictObject({
      name: z.string(),
      state: z.enum(streamStates),
      kind: z.enum(["subscription", "client"]).nullable(),
      lagBytes: z.number().nullable(),
    }).nullable().optional(),
    keptSlot: z.strictObject({
      name: z.string(),
      retainedBytes: z.number().nullable(),
    }).nullable().optional(),
    unfinished: z.strictObject({
      command: z.enum(["run", "rollback"]),
      inUse: z.enum(["source", "target"]),
      isTurning: z.boolean(),
      isClosing: z.boolean(),
      isRunning: z.boolean(),
    }).nullable().optional(),
  }).nullable()
    // missing in reports of earlier versions
    .optional(),
});

const report = z.strictObject({
  formatVersion: z.literal(1),
  at: z.iso.datetime(),
  source: server,
  target: server,
  wal: z.strictObject({
    lsn: z.string().regex(/^[0-9A-F]+\/[0-9A-F]+$/),
    bytesPerSecond: nullable(bytes),
  }).nullable(),
  databases: z.array(database),
  findings: z.array(z.strictObject({
    id: z.string().meta({ description: "Stable identifier for scripts." }),
    severity: z.enum(severities),
    side: z.enum(["source", "target"]),
    database: text,
    stream: text,
    message: z.string(),
    remedy: z.string(),
  })),
  healthy: z.boolean(),
  check: z.strictObject({ ok: z.boolean(), reasons: z.array(z.string()) }).optional().meta({
    description: "With --check.",
  }),
});

/** JSON Schema (2020-12) of what `status --json` prints. */
export function statusJsonSchema(): Readonly<Record<string, unknown>> {
  return { title: "postgres-seren-replicator status", ...z.toJSONSchema(report) };
}

/** Where a document violates the schema, one line each; empty if it conforms. */
export function statusFormProblems(document: unknown): readonly string[] {
  const result = report.safeParse(document);
  return result.success
    ? []
    : result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}
