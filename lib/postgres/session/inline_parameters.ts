/**
 * Parameters as literals. The extended protocol, as the driver speaks it, costs a round trip more
 * for each query with parameters, and lets none be sent ahead: on a far server that is what
 * questions to the catalog consist of.
 *
 * @module
 */
import { quoteLiteral, tokenize } from "../../core/internal.ts";
import type { Parameter } from "./row.ts";

/**
 * Puts the parameters into the statement as literals of unknown type, which the server resolves as
 * it does parameters. Needs `standard_conforming_strings` on.
 *
 * @returns undefined when the text may be more than one statement: the extended protocol refuses
 * those
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
  if (value === undefined) throw new TypeError(`there is no value for ${name}`);
  if (value === null || typeof value === "boolean") return ` ${String(value)} `;
  return `${quoteLiteral(String(value))} `;
}
