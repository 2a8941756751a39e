import { tokenize } from "../../lib/core/sql_tokens.ts";
import { withSession } from "./sql.ts";

/**
 * The statements of a script of plain statements, without psql's commands. A semicolon inside
 * parentheses or inside `BEGIN ATOMIC … END` does not end a statement.
 */
export function statementsOf(script: string): readonly string[] {
  const statements: string[] = [];
  let start = 0;
  let depth = 0;
  let atomic = 0;
  let words: string[] = [];
  for (const { kind, start: at, end } of tokenize(script)) {
    const text = script.slice(at, end);
    if (kind === "word") {
      const word = text.toLowerCase();
      if (word === "atomic" && words.at(-1) === "begin") atomic++;
      else if (atomic > 0 && word === "case") atomic++;
      else if (atomic > 0 && word === "end") atomic--;
      words.push(word);
    }
    if (kind !== "symbol") continue;
    if (text === "(") depth++;
    if (text === ")") depth--;
    if (text !== ";" || depth > 0 || atomic > 0) continue;
    if (words.length > 0) statements.push(script.slice(start, end));
    start = end;
    words = [];
  }
  if (words.length > 0) statements.push(script.slice(start));
  return statements;
}

/**
 * Runs a script like psql: in one session, each statement in its own transaction unless the script
 * says otherwise.
 *
 * @throws Error that names the statement, with the server's error as cause
 */
export async function runScript(url: string, script: string): Promise<void> {
  await withSession(url, async (session) => {
    for (const statement of statementsOf(script)) {
      try {
        await session.unsafe(statement).simple();
      } catch (cause) {
        throw new Error(`${(cause as Error).message} in: ${statement.trim()}`, { cause });
      }
    }
  });
}
