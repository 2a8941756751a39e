/**
 * Settings of the target that would change what an apply worker writes, or keep it from writing.
 *
 * A worker begins with the settings of the subscription's owner in its database, and reads what the
 * source sends as text under them: with `array_nulls = off` an element NULL becomes the text
 * `NULL`, with `xmloption = document` a fragment is refused, amounts of money mean what
 * `lc_monetary` says. `ALTER ROLE … IN DATABASE … SET` for the owner outranks all other places of a
 * setting, and reaches nobody else. It is made only for what is harmful, in the transaction that
 * makes the subscription; what was there before is noted in the subscription's comment, and comes
 * back in the transaction that drops the last one.
 *
 * Source: PostgreSQL documentation, "ALTER ROLE", and `InitPostgres` for background workers.
 *
 * @module
 */
import { ExitCode, quoteLiteral, ReplicatorError } from "../../core/internal.ts";
import { resetRoleStatement, ServerError, type Session } from "../../postgres/internal.ts";
import { parseComment, type WorkerSetting } from "../publication/publication_comment.ts";
import { parseReplicationName } from "../publication/names.ts";

/**
 * What a worker needs, whatever the database has. Names that a version does not know are passed
 * over.
 */
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
  readonly name: string;
  /** What a worker would begin with. */
  readonly value: string;
  /** What it is given. */
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

/**
 * Which settings of the session's database and role would harm a worker that applies what `source`
 * sends.
 */
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

/**
 * The role that `ALTER DATABASE … SET role` or `ALTER ROLE … SET role` gives to sessions of the
 * role.
 */
async function startRole(session: Session): Promise<string | undefined> {
  if (resetRoleStatement(session.endpoint) === "RESET ROLE;") return undefined; // the URL's own
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
  /** Of the role in the database. */
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
 * Gives the worker what it needs, in the caller's transaction, which makes the subscription.
 *
 * @returns what is to be noted in its comment
 * @throws ReplicatorError when a setting cannot be changed
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
        `${name} = ${value}, which apply workers of this database would begin with, cannot be changed for them`,
        {
          side: "target",
          object: `database ${session.endpoint.database}`,
          details: [
            `They would write other data than the source has, or nothing. ${error.message}`,
          ],
          remedy: name === "lc_monetary"
            ? "give both databases the same lc_monetary: ALTER DATABASE … SET lc_monetary = 'C'"
            : `have an administrator of the target run: ${statement}`,
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
  /** The owner's OID. */
  readonly owner: number;
  readonly settings: readonly WorkerSetting[];
}

/** What the comments of the tool's subscriptions in the session's database say. */
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

/**
 * Takes back what was set for workers, with the last subscription of the database, in the
 * transaction that drops it.
 */
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
