import {
  type Parameter,
  type Session,
  type SessionPool,
  textArray,
} from "../../postgres/internal.ts";

/** The database interface of pg-boss. */
export interface BossDatabase {
  // deno-lint-ignore no-explicit-any -- pg-boss's own type
  executeSql(text: string, values?: unknown[]): Promise<{ rows: any[] }>;
}

/**
 * Runs pg-boss on the service's own sessions, so that it connects the same way, and its statements
 * can be part of the service's transactions: a job and its message are changed atomically.
 */
export function poolDatabase(pool: SessionPool): BossDatabase {
  return {
    executeSql: (text, values) => pool.use((session) => execute(session, text, values)),
  };
}

/** Runs pg-boss within a transaction of the service. */
export function sessionDatabase(session: Session): BossDatabase {
  return { executeSql: (text, values) => execute(session, text, values) };
}

async function execute(
  session: Session,
  text: string,
  values: readonly unknown[] | undefined,
  // deno-lint-ignore no-explicit-any -- required by pg-boss: one result, or a list for several statements
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
