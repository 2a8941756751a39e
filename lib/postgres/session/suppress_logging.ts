/**
 * Keeps statements that contain a secret out of the server's log and statistics, if the role may.
 *
 * @module
 */
import { quoteLiteral } from "../../core/internal.ts";
import type { Session } from "./session.ts";

/**
 * Settings by which servers and common extensions record or show statements, with the value that
 * prevents it.
 */
const quietSettings: Readonly<Record<string, string>> = {
  log_statement: "none",
  log_min_duration_statement: "-1",
  log_min_duration_sample: "-1", // 13+
  log_transaction_sample_rate: "0",
  log_min_error_statement: "panic",
  debug_print_parse: "off",
  debug_print_rewritten: "off",
  debug_print_plan: "off",
  debug_print_raw_parse: "off",
  // pg_stat_activity, and what the postmaster logs about a crashed backend
  track_activities: "off",
  "auto_explain.log_min_duration": "-1",
  "pg_stat_statements.track": "none",
  "pg_stat_statements.track_utility": "off",
  "pg_stat_monitor.pgsm_track_utility": "off",
  "pgaudit.log": "none",
};

/**
 * Keeps the following statements of the current transaction out of the log, as far as the role may:
 * superusers, and from PostgreSQL 15 on roles with SET granted on these parameters.
 */
export async function keepOutOfLog(session: Session): Promise<void> {
  const rows = Object.entries(quietSettings)
    .map(([name, value]) => `(${quoteLiteral(name)}, ${quoteLiteral(value)})`).join(", ");
  const granted = session.majorVersion >= 15
    ? "pg_catalog.has_parameter_privilege(known.name, 'SET')"
    : "false";
  await session.execute(`
    SELECT pg_catalog.set_config(known.name, requested.value, true)
      FROM (VALUES ${rows}) AS requested (name, value)
      JOIN pg_catalog.pg_settings AS known ON known.name = requested.name
     WHERE CASE WHEN known.context = 'user' THEN true
                WHEN known.context <> 'superuser' THEN false
                WHEN pg_catalog.current_setting('is_superuser') = 'on' THEN true
                ELSE ${granted} END`);
}
