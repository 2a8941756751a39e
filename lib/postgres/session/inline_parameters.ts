/**
 * Parameters as literals. With the extended protocol the driver needs another round trip for each
 * query with parameters and cannot pipeline them, which dominates catalog queries on a distant
 * server.
 *
 * @module
 */
import { quoteLiteral, tokenize } from "../../core/internal.ts";
import type { Parameter } from "./row.ts";

/**
 * Replaces parameters in the statement by literals of unknown type, which the server resolves like
 * parameters. Requires `standard_conforming_strings = on`.
 *
 * @returns undefined when the text may contain more than one statement, which the extended protocol
 * rejects
 * @throws TypeError when a parameter is missing, or a text contains NUL
 */
export function inlineParameters(
  statement: string,
  parameters: readonly Parameter[],
): string | undefined {
  let result = "";
  let ended = false;
  for (const { kind, start, end } of tokenize(statement)) {
    const text = statement.slice(start, end);
    if (kind === "open") return undefined;
    if (kind !== "space" && kind !== "line-comment" && kind !== "block-comment") {
      if (ended) return undefined;
      ended = kind === "symbol" && text === ";";
    }
    result += kind === "parameter" ? literal(text, parameters) : text;
  }
  return result;
}

function literal(name: string, parameters: readonly Parameter[]): string {
  const value = parameters[Number(name.slice(1)) - 1];
  if (value === undefined) throw new TypeError(`no value for parameter ${name}`);
  if (value === null || typeof value === "boolean") return ` ${String(value)} `;
  return `${quoteLiteral(String(value))} `;
}
