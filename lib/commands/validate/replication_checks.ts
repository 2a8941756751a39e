import type { IdentityPolicy } from "../../config/internal.ts";
import {
  mayReplicate,
  maySubscribe,
  originLimit,
  type SettingName,
} from "../../catalog/internal.ts";
import { displayName, formatBytes, plural, quoteIdentifier } from "../../core/internal.ts";
import type { Hazard, UnpublishedTable } from "../../replication/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { failIf, listNames, pass, warn } from "./check.ts";
import type { ServerFacts, SourceDatabaseFacts } from "./facts.ts";
import { replicationGrant, settingRemedy, walLevelRemedy } from "./remedies.ts";

interface ReplicationNeeds {
  /** Slots that sync needs. */
  readonly databases: number;
  readonly forSync: boolean;
}

/** Can the source be replicated? Missing prerequisites are failures only for sync. */
export function checkSourceReplication(
  { activity, provider, role }: Pick<
    ServerFacts,
    "activity" | "provider" | "role"
  >,
  { databases, forSync }: ReplicationNeeds,
): readonly Check[] {
  const { settings } = activity;
  const checks: Check[] = [];
  const level = settings.wal_level;
  checks.push(
    level === "logical"
      ? pass({ id: "wal-level", side: "source" }, "wal_level is logical")
      : failIf(forSync, { id: "wal-level", side: "source" }, {
        finding: `wal_level is ${level}; sync requires logical`,
        fix: walLevelRemedy(provider?.id),
      }),
  );
  const pool = (id: string, { setting, used }: { setting: SettingName; used: number }) => {
    const limit = Number(settings[setting]);
    const subject = { id, side: "source" } as const;
    checks.push(
      limit - used >= databases
        ? pass(subject, `${limit - used} of ${limit} are free, sync needs ${databases}`)
        : failIf(forSync, subject, {
          finding: `${Math.max(0, limit - used)} of ${limit} are free, sync needs ${databases}`,
          fix: settingRemedy(provider?.id, { name: setting, value: used + databases + 2 }) +
            (id === "replication-slots"
              ? "; or drop unused slots: SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE NOT active;"
              : ""),
        }),
    );
  };
  pool("replication-slots", { setting: "max_replication_slots", used: activity.usedSlots });
  pool("wal-senders", { setting: "max_wal_senders", used: activity.usedSenders });
  checks.push(...checkOutputPlugin(settings, { forSync }));
  checks.push(
    mayReplicate(role)
      ? pass({ id: "replication-privilege", side: "source" }, `${role.name} may create slots`)
      : failIf(forSync, { id: "replication-privilege", side: "source" }, {
        finding: `${role.name} may not create replication slots, which sync needs`,
        fix: replicationGrant(provider?.id, role.name),
      }),
  );
  if (forSync) checks.push(...checkSlotLimits(settings));
  return checks;
}

/** Servers with the updates of August 2026 load only listed output plugins. */
function checkOutputPlugin(
  { output_plugin_libraries: listed }: ServerFacts["activity"]["settings"],
  { forSync }: { readonly forSync: boolean },
): readonly Check[] {
  const plugins = listed?.split(",").map((name) => name.trim().replace(/^"(.*)"$/, "$1"));
  if (listed === undefined || plugins?.includes("pgoutput")) return [];
  const all = ["pgoutput", ...plugins?.filter((name) => name !== "") ?? []];
  return [
    failIf(forSync, { id: "output-plugin", side: "source" }, {
      finding: "output_plugin_libraries does not list pgoutput, which sync requires",
      fix: `ALTER SYSTEM SET output_plugin_libraries = ${
        all.map((name) => `'${name.replaceAll("'", "''")}'`).join(", ")
      }; SELECT pg_catalog.pg_reload_conf();`,
    }),
  ];
}

function checkSlotLimits(settings: ServerFacts["activity"]["settings"]): readonly Check[] {
  const checks: Check[] = [];
  const keep = settings.max_slot_wal_keep_size; // 13+, MB
  if (keep !== undefined && keep !== "-1") {
    checks.push(
      warn({ id: "slot-wal-limit", side: "source" }, {
        finding: `a slot that falls behind by more than ${
          formatBytes(Number(keep) * 1024 ** 2)
        } is lost (max_slot_wal_keep_size), which ends the sync`,
        fix:
          "raise max_slot_wal_keep_size above the WAL that is written during init, if the disk allows it",
      }),
    );
  }
  const idle = Number(settings.idle_replication_slot_timeout ?? 0); // 18+
  if (idle > 0) {
    checks.push(
      warn({ id: "slot-idle-timeout", side: "source" }, {
        finding:
          `init may take longer than idle_replication_slot_timeout (${idle} s), and a slot that is idle that long is lost`,
        fix:
          "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_catalog.pg_reload_conf();",
      }),
    );
  }
  return checks;
}

/** Can the target subscribe? */
export function checkTargetReplication(
  { activity, provider, role, majorVersion }: Pick<
    ServerFacts,
    "activity" | "provider" | "role" | "majorVersion"
  >,
  { databases, forSync }: ReplicationNeeds,
): readonly Check[] {
  const checks: Check[] = [];
  for (
    const [setting, needed] of [
      ["max_logical_replication_workers", databases],
      [originLimit(majorVersion), databases],
      ["max_worker_processes", databases + 1],
    ] as const
  ) {
    const limit = Number(activity.settings[setting]);
    if (limit < needed) {
      checks.push(failIf(forSync, { id: "replication-workers", side: "target" }, {
        finding: `${setting} is ${limit}, sync needs at least ${needed}`,
        fix: settingRemedy(provider?.id, { name: setting, value: needed + 4 }),
      }));
    }
  }
  if (checks.length === 0) {
    checks.push(pass({ id: "replication-workers", side: "target" }, "enough workers for sync"));
  }
  const subject = { id: "subscription-privilege", side: "target" } as const;
  checks.push(
    maySubscribe(role)
      ? pass(subject, `${role.name} may create subscriptions`)
      : failIf(forSync, subject, {
        finding: `${role.name} may not create subscriptions, which sync needs`,
        fix:
          `GRANT pg_create_subscription TO ${quoteIdentifier(role.name)}; (version 16 or newer), ` +
          "or connect as a superuser or the provider's admin role",
      }),
  );
  return checks;
}

/** Can the changes of each table be replicated? */
export function checkReplicaIdentity(
  database: string,
  {
    facts: { tables, access, sequences },
    role,
    forSync,
    policy,
    unpublished,
  }: {
    readonly facts: Pick<SourceDatabaseFacts, "tables" | "access" | "sequences">;
    readonly role: ServerFacts["role"];
    readonly forSync: boolean;
    /** How such tables will be treated. */
    readonly policy: IdentityPolicy;
    /**
     * Tables that cannot be published under the policy, and why; known only for sync.
     */
    readonly unpublished?: readonly UnpublishedTable[] | undefined;
  },
): readonly Check[] {
  const checks = [
    unpublished === undefined
      ? identityCheck(database, { tables })
      : checkPublishable(database, { tables, unpublished, policy }),
  ];
  if (forSync) {
    const foreign = access.filter(({ owned }) => !owned).map(displayName);
    const owner = { id: "publishable", side: "source", database } as const;
    checks.push(
      role.superuser || foreign.length === 0
        ? pass(owner, `${role.name} may publish every table`)
        : failIf(true, owner, {
          finding: `${role.name} does not own ${listNames(foreign)} and may not publish them`,
          fix: `GRANT the owning roles to ${quoteIdentifier(role.name)}, or connect as a superuser`,
        }),
    );
    const unlogged = tables.filter(({ isUnlogged }) => isUnlogged);
    if (unlogged.length > 0) {
      checks.push(
        warn({ id: "unlogged-tables", side: "source", database }, {
          finding: `unlogged tables are copied once and never replicated: ${
            listNames(unlogged.map(displayName))
          }`,
          fix: `ALTER TABLE ${
            displayName(unlogged[0]!)
          } SET LOGGED; or copy them again at the cutover`,
        }),
      );
    }
    if (sequences.length > 0) {
      checks.push(pass(
        { id: "sequences", side: "source", database },
        `${plural(sequences.length, "sequence")}: not replicated; cutover sets them`,
      ));
    }
  }
  return checks;
}

/** Without replication, what would be missing for it is no more than a note. */
function identityCheck(
  database: string,
  { tables }: { readonly tables: SourceDatabaseFacts["tables"] },
): Check {
  const logged = tables.filter(({ isUnlogged }) => !isUnlogged);
  const without = logged.filter(({ replicaIdentity }) => replicaIdentity === "nothing");
  return pass(
    { id: "replica-identity", side: "source", database },
    without.length === 0
      ? `all ${plural(logged.length, "table")} have a usable replica identity`
      : `${
        plural(without.length, "table has", "tables have")
      } no usable replica identity, which only replication needs (validate --for-sync): ${
        listNames(without.map(displayName))
      }`,
  );
}

function checkPublishable(
  database: string,
  { tables, unpublished, policy }: {
    readonly tables: SourceDatabaseFacts["tables"];
    readonly unpublished: readonly UnpublishedTable[];
    readonly policy: IdentityPolicy;
  },
): Check {
  const logged = tables.filter(({ isUnlogged }) => !isUnlogged);
  const subject = { id: "replica-identity", side: "source", database } as const;
  const [first] = unpublished;
  return first === undefined
    ? pass(subject, `all ${plural(logged.length, "table")} can be published`)
    : failIf(policy !== "skip", subject, {
      finding:
        `${
          plural(unpublished.length, "table")
        } without a usable replica identity, where publishing would make UPDATE and DELETE fail: ` +
        listNames(unpublished.map((table) => `${displayName(table)}: ${table.reason}`)),
      fix: `${first.remedy}${
        policy === "skip"
          ? ""
          : "; or copy these tables once, without their changes, with --replica-identity skip"
      }`,
    });
}

/** Hazards that would stop replication later, or make the target differ. */
export function checkHazards(database: string, hazards: readonly Hazard[]): readonly Check[] {
  return hazards.map(({ id, isCertain, finding, remedy }) =>
    failIf(isCertain, { id, side: "source", database }, { finding, fix: remedy })
  );
}
