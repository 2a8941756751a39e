import postgres from "postgres";

/** A row as postgres.js gives it: numbers beyond 32 bits, dates and everything unusual are text. */
export type Row = Record<string, unknown>;

/** Settings of a session that is to be used for a moment only. */
const OPTIONS = {
  max: 1,
  onnotice: () => {},
  fetch_types: false,
  prepare: false,
  connection: { application_name: "test" },
} as const;

/**
 * Runs one statement in a session of its own and gives back its rows. Requires `--allow-net` and
 * `--allow-env`.
 */
export async function query<T extends Row = Row>(
  url: string,
  sql: string,
  params: readonly (string | number | boolean | null)[] = [],
): Promise<T[]> {
  return await withSession(url, async (session) => {
    const rows = params.length
      ? await session.unsafe<T[]>(sql, [...params])
      : await session.unsafe<T[]>(sql).simple();
    return [...rows] as T[];
  });
}

/**
 * Runs a script of any number of statements in a session of its own. It is one transaction unless
 * it says otherwise.
 */
export async function exec(url: string, script: string): Promise<void> {
  await withSession(url, (session) => session.unsafe(script).simple());
}

/** Opens a session, hands it to `use`, and closes it in any case. */
export async function withSession<T>(
  url: string,
  use: (session: postgres.Sql) => Promise<T>,
): Promise<T> {
  // postgres.js takes the path as it stands, percent signs and all
  const database = decodeURIComponent(new URL(url).pathname.slice(1));
  const session = postgres(url, { ...OPTIONS, ...(database === "" ? {} : { database }) });
  try {
    return await use(session);
  } finally {
    // After a broken connection end() waits for its timeout in any case.
    await session.end({ timeout: 1 });
  }
}
