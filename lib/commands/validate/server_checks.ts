import { intermediaryByAddress, type ServerRelation } from "../../catalog/internal.ts";
import type { Side } from "../../core/internal.ts";
import { describeHost } from "../../postgres/internal.ts";
import { formatVersion } from "../shared/server_pair.ts";
import type { Check } from "../shared/validation_report.ts";
import { fail, failIf, pass, warn } from "./check.ts";
import type { ServerFacts } from "./facts.ts";
import { directRemedy } from "./remedies.ts";

/** The oldest supported version. */
const oldestMajor = 12;

/** Are the versions compatible? */
export function checkVersions(
  source: Pick<ServerFacts, "serverVersion" | "majorVersion">,
  target: Pick<ServerFacts, "serverVersion" | "majorVersion">,
): readonly Check[] {
  const tooOld = ([["source", source], ["target", target]] as const)
    .filter(([, { majorVersion }]) => majorVersion < oldestMajor)
    .map(([side, { serverVersion }]) =>
      fail({ id: "version", side }, {
        finding: `PostgreSQL ${formatVersion(serverVersion)} is older than ${oldestMajor}`,
        fix: `upgrade the ${side} to PostgreSQL ${oldestMajor} or newer`,
      })
    );
  if (tooOld.length > 0) return tooOld;
  const versions = `PostgreSQL ${formatVersion(source.serverVersion)} to ${
    formatVersion(target.serverVersion)
  }`;
  const subject = { id: "version", side: "both" } as const;
  return [
    target.majorVersion < source.majorVersion
      ? warn(subject, {
        finding:
          `${versions}: the target is older, and objects that require the newer version cannot be created there`,
        fix:
          `use a target of version ${source.majorVersion} or newer, or check the list of refused statements after init`,
      })
      : pass(subject, versions),
  ];
}

/** Are source and target the same database? */
export function checkSameDatabase(
  relation: ServerRelation,
  overwritten: readonly string[],
): Check {
  const subject = { id: "same-database", side: "both" } as const;
  if (overwritten.length > 0) {
    return fail(subject, {
      finding: `source and target are the same server, and ${
        overwritten.join(", ")
      } would be copied onto itself or onto another source`,
      fix: "use the URL of another server with --target, or another name with --map OLD=NEW",
    });
  }
  return pass(
    subject,
    relation === "different"
      ? "source and target are different servers"
      : "source and target are the same server; each copy has a different name",
  );
}

/** Is the target writable, and can the source be replicated? */
export function checkRecovery(
  { source, target, forSync }: {
    readonly source: ServerFacts;
    readonly target: ServerFacts;
    readonly forSync: boolean;
  },
): readonly Check[] {
  const checks: Check[] = [];
  if (target.activity.inRecovery) {
    checks.push(
      fail({ id: "read-only", side: "target" }, {
        finding: "the target is a standby and cannot be written",
        fix: "use the URL of the primary, or add target_session_attrs=read-write to it",
      }),
    );
  }
  if (source.activity.inRecovery) {
    const subject = { id: "standby", side: "source" } as const;
    checks.push(
      forSync
        ? fail(subject, {
          finding:
            "the source is a standby: replication needs a publication, which only its primary can create",
          fix: "use the URL of the primary",
        })
        : warn(subject, {
          finding: "the source is a standby: replay of its primary may cancel queries",
          fix: "use the URL of the primary, or set hot_standby_feedback = on and " +
            "max_standby_streaming_delay = -1 on the standby until the copy is complete",
        }),
    );
  }
  return checks;
}

/** Is there a pooler or a load balancer before the server? */
export function checkIntermediary(
  side: Side,
  { hosts, provider, sharesBackends, forSync }: {
    readonly hosts: ServerFacts["hosts"];
    readonly provider: ServerFacts["provider"];
    readonly sharesBackends: boolean;
    readonly forSync: boolean;
  },
): Check {
  const found = hosts.map((place) => ({ place, kind: intermediaryByAddress(place) }));
  const pooled = found.find(({ kind }) => kind === "pooler");
  const balanced = found.find(({ kind }) => kind === "load-balancer");
  if (sharesBackends) {
    return fail({ id: "pooler", side }, {
      finding:
        "the URL leads to a pooler in transaction mode, where session-level snapshots, locks and settings do not persist",
      fix: directRemedy(provider?.id),
    });
  }
  if (pooled !== undefined) {
    return failIf(forSync && side === "source", { id: "pooler", side }, {
      finding:
        `${describeHost(pooled.place)} looks like a pooler; copying works in session mode, ` +
        "replication does not",
      fix: directRemedy(provider?.id),
    });
  }
  if (balanced !== undefined) {
    return warn({ id: "load-balancer", side }, {
      finding: `${
        describeHost(balanced.place)
      } is a load balancer, which closes idle connections (after 350 s at AWS)`,
      fix:
        "connect directly to the server, or raise the balancer's idle timeout to an hour or more",
    });
  }
  return pass({ id: "pooler", side }, "connected directly: each session has its own backend");
}
