import postgres from "postgres";

/** A row as returned by postgres.js: numbers beyond 32 bits, dates and unusual types are text. */
export type Row = Record<string, unknown>;

/** Settings of a short-lived session. */
const OPTIONS = {
  max: 1,
  onnotice: () => {},
  fetch_types: false,
  prepare: false,
  connection: { application_name: "test" },
} as const;

/**
 * Runs one statement in a new session and returns its rows. Requires `--allow-net` and
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
 * Runs a script in a new session, as one transaction unless it says otherwise.
 */
export async function exec(url: string, script: string): Promise<void> {
  await withSession(url, (session) => session.unsafe(script).simple());
}

/** Opens a session, passes it to `use`, and always closes it. */
export async function withSession<T>(
  url: string,
  use: (session: postgres.Sql) => Promise<T>,
): Promise<T> {
  // postgres.js does not decode the path
  const database = decodeURIComponent(new URL(url).pathname.slice(1));
  const session = postgres(url, { ...OPTIONS, ...(database === "" ? {} : { database }) });
  try {
    return await use(session);
  } finally {
    // after a broken connection, end() always waits for its timeout
    await session.end({ timeout: 1 });
  }
}
