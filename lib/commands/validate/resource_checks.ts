import { type Database, type OpenTransaction, profileOf } from "../../catalog/internal.ts";
import { formatBytes, formatDuration, type Side } from "../../core/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { fail, failIf, listNames, pass, warn } from "./check.ts";
import type { ServerFacts } from "./facts.ts";
import { settingRemedy } from "./remedies.ts";

/**
 * Sessions besides the copy workers: for the snapshot, pg_dump, the catalogs, the throttle, and
 * statistics.
 */
const otherSessions = 5;

/** Are enough connections free for all workers? */
export function checkConnections(
  side: Side,
  { activity, provider, role }: Pick<ServerFacts, "activity" | "provider" | "role">,
  jobs: number,
): Check {
  const subject = { id: "connections", side } as const;
  const { settings } = activity;
  const limit = Number(settings.max_connections);
  const reserved = role.superuser ? 0 : Number(settings.superuser_reserved_connections ?? 0) +
    Number(settings.reserved_connections ?? 0);
  const free = Math.min(
    limit - reserved - activity.usedConnections,
    role.connectionLimit ?? Infinity,
  );
  const needed = jobs + otherSessions;
  if (free >= needed) return pass(subject, `${free} are free, ${needed} needed`);
  const fix = free > otherSessions
    ? `use --jobs ${free - otherSessions}, or end unneeded sessions`
    : `end unneeded sessions; or ${
      settingRemedy(provider?.id, { name: "max_connections", value: limit + needed })
    }`;
  const finding = `${Math.max(0, free)} of ${
    role.connectionLimit ?? limit
  } connections are free, --jobs ${jobs} needs ${needed}`;
  return free <= otherSessions ? fail(subject, { finding, fix }) : warn(subject, { finding, fix });
}

/** Smaller databases need no warning. */
const smallBytes = 1024 ** 3;

/** How much disk space does the target need? No server reports how much it has. */
export function checkDisk(
  sources: readonly Pick<Database, "name" | "sizeBytes">[],
  target: Pick<ServerFacts, "provider">,
): Check {
  const subject = { id: "disk-space", side: "target" } as const;
  const unknown = sources.filter(({ sizeBytes }) => sizeBytes === undefined);
  const bytes = sources.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
  const size = formatBytes(bytes) +
    (unknown.length === 0 ? "" : ` and ${listNames(unknown.map(({ name }) => name))}`);
  if (target.provider !== undefined && profileOf(target.provider.id).diskGrows) {
    return pass(
      subject,
      `needs about ${size}; the disk of ${target.provider.name} grows automatically`,
    );
  }
  if (bytes < smallBytes && unknown.length === 0) return pass(subject, `needs about ${size}`);
  return warn(subject, {
    finding:
      `needs about ${size}, and temporarily as much again for WAL and sorting; free disk space cannot be queried with SQL`,
    fix: `make sure that the target has ${formatBytes(bytes * 1.5)} free`,
  });
}

/** A prepared transaction of this age is considered abandoned. */
const forgottenAfterSeconds = 60;

/** Do open transactions block the copy? */
export function checkTransactions(
  { activity }: Pick<ServerFacts, "activity">,
  { forSync }: { readonly forSync: boolean },
): readonly Check[] {
  const { longTransactions, preparedTransactions, seesAll } = activity;
  const checks: Check[] = [];
  const prepared = { id: "prepared-transactions", side: "source" } as const;
  const [firstPrepared] = preparedTransactions;
  checks.push(
    firstPrepared === undefined
      ? pass(prepared, "none")
      // younger ones are still active: creating a slot waits for them
      : failIf(forSync && firstPrepared.ageSeconds > forgottenAfterSeconds, prepared, {
        finding: `prepared and not committed: ${
          listNames(preparedTransactions.map(describeOpenTransaction))
        }; they hold their locks, and a slot cannot be created before they end`,
        fix:
          `COMMIT PREPARED '${firstPrepared.gid}'; or ROLLBACK PREPARED '${firstPrepared.gid}'; in database ${firstPrepared.database}`,
      }),
  );
  const long = { id: "long-transactions", side: "source" } as const;
  const [firstLong] = longTransactions;
  if (firstLong !== undefined) {
    checks.push(
      warn(long, {
        finding: `long-running: ${
          listNames(longTransactions.map(describeOpenTransaction))
        }; creating a slot waits for them, and their locks may block pg_dump`,
        fix: `let them end, or SELECT pg_catalog.pg_terminate_backend(${firstLong.pid});`,
      }),
    );
  } else {
    checks.push(
      pass(long, seesAll ? "none" : "none of the role's own; those of other roles cannot be seen"),
    );
  }
  return checks;
}

function describeOpenTransaction(
  { pid, gid, database, role, ageSeconds }: OpenTransaction,
): string {
  const name = pid === undefined || pid === null ? `'${gid}'` : `pid ${pid}`;
  return `${name} of ${role} in ${database} since ${
    formatDuration(Math.max(0, ageSeconds) * 1000)
  }`;
}
