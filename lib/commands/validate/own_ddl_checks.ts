/**
 * Event triggers and settings of a database that affect the tool's own objects, or its apply
 * workers.
 *
 * @module
 */
import { quoteIdentifier, type Side } from "../../core/internal.ts";
import { type Session, silenceEventTriggers } from "../../postgres/internal.ts";
import { loadReplication } from "../shared/load_replication.ts";
import type { Check } from "../shared/validation_report.ts";
import { listNames, pass, warn } from "./check.ts";

/**
 * Event triggers that fire for the tool's own ledger, publication or subscription, because the role
 * cannot prevent it.
 */
export async function checkOwnDdl(
  session: Session,
  { side, database }: { readonly side: Side; readonly database: string },
): Promise<Check> {
  const subject = { id: "own-event-triggers", side, database } as const;
  const running = (await silenceEventTriggers(session)).filter(({ owned }) => !owned);
  const [first] = running;
  if (first === undefined) {
    return pass(subject, "no event trigger fires for the tool's own objects");
  }
  const made = side === "source"
    ? "the publication and changed replica identities"
    : "the ledger and the subscription";
  return warn(subject, {
    finding: `event triggers fire for ${made}, and may reject them: ${
      listNames(running.map(({ name, event, calls }) => `${name} (${event}, ${calls})`))
    }`,
    fix: session.majorVersion >= 15
      ? `as a superuser: GRANT SET ON PARAMETER ${
        session.majorVersion >= 17 ? "event_triggers" : "session_replication_role"
      } TO ${quoteIdentifier(session.endpoint.user)}; or ALTER EVENT TRIGGER ${
        quoteIdentifier(first.name)
      } DISABLE until cleanup`
      : `ALTER EVENT TRIGGER ${
        quoteIdentifier(first.name)
      } DISABLE until cleanup, or connect as a superuser`,
  });
}

const configuredStatement = `
  SELECT DISTINCT setting
    FROM pg_catalog.pg_db_role_setting AS s
   CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
    JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
   WHERE d.datname = pg_catalog.current_database() AND s.setrole = 0
   ORDER BY setting`;

/** Settings of the source's database that apply workers must not use. */
export async function checkWorkerSettings(session: Session, database: string): Promise<Check> {
  const subject = { id: "worker-settings", side: "source", database } as const;
  const { workerSettings } = await loadReplication();
  const needed: Readonly<Record<string, string>> = { ...workerSettings, role: "none" };
  const rows = await session.query<{ readonly setting: string }>(configuredStatement);
  const harmful = rows.flatMap(({ setting }) => {
    const [name = "", value] = [
      setting.slice(0, setting.indexOf("=")),
      setting.slice(setting.indexOf("=") + 1),
    ];
    const wanted = needed[name.toLowerCase()];
    return wanted === undefined || wanted === value ? [] : [{ name, value, wanted }];
  });
  if (harmful.length === 0) {
    return pass(subject, "no setting of the database changes what replication writes");
  }
  const list = harmful.map(({ name, value }) => `${name} = ${value}`);
  return warn(subject, {
    finding: `with ${
      listNames(list)
    }, an apply worker on the target would write different data, or nothing at all`,
    fix:
      "nothing to do if the subscription's owner can have different settings in that database until cleanup (init sets them with " +
      `ALTER ROLE … IN DATABASE); otherwise ALTER DATABASE ${quoteIdentifier(database)} RESET ${
        harmful[0]?.name ?? ""
      } on the source`,
  });
}
