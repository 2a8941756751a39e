import {
  type Parameter,
  type Session,
  type SessionPool,
  textArray,
} from "../../postgres/internal.ts";

/** What pg-boss asks of a database. */
export interface BossDatabase {
  // deno-lint-ignore no-explicit-any -- pg-boss's own type
  executeSql(text: string, values?: unknown[]): Promise<{ rows: any[] }>;
}

/**
 * pg-boss over our own sessions: one driver, one way to connect and one meaning of URLs, and its
 * statements can be part of our transactions, so that a job and its message come and go together.
 */
export function poolDatabase(pool: SessionPool): BossDatabase {
  return {
    executeSql: (text, values) => pool.use((session) => execute(session, text, values)),
  };
}

/** pg-boss within a transaction of ours. */
export function sessionDatabase(session: Session): BossDatabase {
  return { executeSql: (text, values) => execute(session, text, values) };
}

async function execute(
  session: Session,
  text: string,
  values: readonly unknown[] | undefined,
  // deno-lint-ignore no-explicit-any -- what pg-boss asks for: one result, or a list of them for several statements
): Promise<any> {
  if (values !== undefined && values.length > 0) {
    return { rows: await session.query(text, values.map(parameterOf)) };
  }
  const results = await session.queryAll(text);
  return results.length === 1 ? { rows: results[0] } : results.map((rows) => ({ rows }));
}

function parameterOf(value: unknown): Parameter {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return textArray(value.map(String));
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "object") return JSON.stringify(value);
  return value as Parameter;
}
