/**
 * Settings of the target that would change what an apply worker writes, or stop it.
 *
 * A worker starts with the settings of the subscription's owner in its database and parses the
 * source's text values under them: with `array_nulls = off` a NULL element becomes the text `NULL`,
 * with `xmloption = document` a fragment is rejected, and `lc_monetary` decides what amounts of
 * money mean. `ALTER ROLE … IN DATABASE … SET` for the owner takes precedence over every other
 * place of a setting and affects no other role. Only harmful settings are overridden, in the
 * transaction that creates the subscription. The previous value is recorded in the subscription's
 * comment and restored in the transaction that drops the last subscription.
 *
 * Source: PostgreSQL documentation, "ALTER ROLE", and `InitPostgres` for background workers.
 *
 * @module
 */
import { ExitCode, quoteLiteral, ReplicatorError } from "../../core/internal.ts";
import { resetRoleStatement, ServerError, type Session } from "../../postgres/internal.ts";
import { parseComment, type WorkerSetting } from "../publication/publication_comment.ts";
import { parseReplicationName } from "../publication/names.ts";

/** The values that a worker needs. Settings that a version does not know are ignored. */
export const workerSettings: Readonly<Record<string, string>> = {
  array_nulls: "on",
  xmloption: "content",
  lock_timeout: "0",
  transaction_timeout: "0", // 17+
  default_transaction_isolation: "read committed",
};

interface SettingRow {
  readonly name: string;
  readonly value: string;
}

/** A setting that would harm an apply worker. */
export interface HarmfulSetting {
  /** Name of the setting: `lock_timeout`. */
  readonly name: string;
  /** The value that a worker would start with. */
  readonly value: string;
  /** The value that it gets instead. */
  readonly needed: string;
}

const startValues = `
  SELECT name, reset_val AS value
    FROM pg_catalog.pg_settings
   WHERE name IN (${
  [...Object.keys(workerSettings), "lc_monetary"].map((name) => quoteLiteral(name).trim())
    .join(", ")
})`;

const usesMoney = `
  SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid >= 16384 AND a.attnum > 0 AND a.atttypid IN (790, 791))
      OR EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.typbasetype IN (790, 791))
      OR EXISTS (SELECT FROM pg_catalog.pg_range AS r WHERE r.rngsubtype = 790) AS found`;

/** Finds settings of the target's database and role that would harm a worker applying `source`. */
export async function readHarmfulSettings(
  { source, target }: { readonly source: Session; readonly target: Session },
): Promise<readonly HarmfulSetting[]> {
  const rows = await target.query<SettingRow & Record<string, unknown>>(startValues);
  const harmful = rows.flatMap((row): HarmfulSetting[] => {
    const needed = workerSettings[row.name];
    return needed === undefined || needed === row.value ? [] : [{ ...row, needed }];
  });
  const role = await startRole(target);
  if (role !== undefined) harmful.push({ name: "role", value: role, needed: "none" });
  const own = rows.find(({ name }) => name === "lc_monetary")?.value;
  if ((await target.queryOne<{ readonly found: boolean }>(usesMoney)).found) {
    const sent = (await source.query<SettingRow & Record<string, unknown>>(startValues))
      .find(({ name }) => name === "lc_monetary")?.value;
    if (sent !== undefined && own !== undefined && sent !== own) {
      harmful.push({ name: "lc_monetary", value: own, needed: sent });
    }
  }
  return harmful;
}

/** The role that `ALTER DATABASE … SET role` or `ALTER ROLE … SET role` gives to new sessions. */
async function startRole(session: Session): Promise<string | undefined> {
  if (resetRoleStatement(session.endpoint) === "RESET ROLE;") return undefined; // set by the URL
  await session.execute("BEGIN; SET LOCAL role TO DEFAULT");
  try {
    const { role } = await session.queryOne<{ readonly role: string }>(
      "SELECT pg_catalog.current_setting('role') AS role",
    );
    return role === "none" ? undefined : role;
  } finally {
    await session.execute("ROLLBACK");
  }
}

interface PlaceRow {
  readonly role: string;
  readonly database: string;
  /** Settings of the role in the database. */
  readonly configured: readonly string[];
}

const placeStatement = `
  SELECT pg_catalog.format('%I', r.rolname) AS role, pg_catalog.format('%I', d.datname) AS database,
         COALESCE((SELECT pg_catalog.to_json(s.setconfig)
                     FROM pg_catalog.pg_db_role_setting AS s
                    WHERE s.setdatabase = d.oid AND s.setrole = r.oid), '[]') AS configured
    FROM pg_catalog.pg_database AS d
   CROSS JOIN pg_catalog.pg_roles AS r
   WHERE d.datname = pg_catalog.current_database()`;

/**
 * Overrides harmful settings, in the caller's transaction, which creates the subscription.
 *
 * @returns what to record in its comment
 * @throws ReplicatorError if a setting cannot be changed
 */
export async function setWorkerSettings(
  session: Session,
  harmful: readonly HarmfulSetting[],
): Promise<readonly WorkerSetting[]> {
  const noted = new Map<string, WorkerSetting>();
  for (const { settings } of await readNotes(session)) {
    for (const setting of settings) noted.set(setting.name, setting);
  }
  if (harmful.length === 0) return [...noted.values()];
  const place = await session.queryOne<PlaceRow & Record<string, unknown>>(
    `${placeStatement} AND r.rolname = current_user`,
  );
  for (const { name, value, needed } of harmful) {
    const statement = alterStatement(place, name, `SET ${name} TO ${quoteLiteral(needed)}`);
    try {
      await session.execute(statement);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      throw new ReplicatorError(
        `${name} = ${value}, with which apply workers of this database would start, cannot be overridden`,
        {
          side: "target",
          object: `database ${session.endpoint.database}`,
          details: [
            `They would write data that differs from the source, or fail. ${error.message}`,
          ],
          remedy: name === "lc_monetary"
            ? "set the same lc_monetary in both databases: ALTER DATABASE … SET lc_monetary = 'C'"
            : `ask an administrator of the target to run: ${statement}`,
          exitCode: ExitCode.prerequisite,
          cause: error,
        },
      );
    }
    if (!noted.has(name)) noted.set(name, noteOf(name, place));
  }
  return [...noted.values()];
}

function noteOf(name: string, { configured }: PlaceRow): WorkerSetting {
  const entry = configured.find((entry) => entry.toLowerCase().startsWith(`${name}=`));
  return entry === undefined ? { name } : { name, before: entry.slice(name.length + 1) };
}

function alterStatement(
  { role, database }: Pick<PlaceRow, "role" | "database">,
  name: string,
  action: string,
): string {
  return `ALTER ROLE ${role} IN DATABASE ${database} ${action || `RESET ${name}`}`;
}

interface Note {
  readonly subscription: string;
  /** OID of the owner. */
  readonly owner: number;
  readonly settings: readonly WorkerSetting[];
}

/** Reads the settings that the comments of the tool's subscriptions record. */
async function readNotes(session: Session): Promise<readonly Note[]> {
  const rows = await session.query<
    { readonly name: string; readonly owner: number; readonly comment: string | null }
  >(`
    SELECT s.subname AS name, s.subowner AS owner,
           pg_catalog.obj_description(s.oid, 'pg_subscription') AS comment
      FROM pg_catalog.pg_subscription AS s
      JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
     WHERE d.datname = pg_catalog.current_database()`);
  return rows.filter(({ name }) => parseReplicationName(name) !== undefined).map((row) => ({
    subscription: row.name,
    owner: row.owner,
    settings: parseComment(row.comment)?.workerSettings ?? [],
  }));
}

/** Restores the settings, in the transaction that drops the last subscription of the database. */
export async function restoreWorkerSettings(session: Session, subscription: string): Promise<void> {
  const notes = await readNotes(session);
  const own = notes.find((note) => note.subscription === subscription);
  if (own === undefined || own.settings.length === 0 || notes.length > 1) return;
  const place = await session.queryOne<PlaceRow & Record<string, unknown>>(
    `${placeStatement} AND r.oid = $1`,
    [own.owner],
  );
  for (const { name, before } of own.settings) {
    await session.execute(
      alterStatement(
        place,
        name,
        before === undefined ? "" : `SET ${name} TO ${quoteLiteral(before)}`,
      ),
    );
  }
}
