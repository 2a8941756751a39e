/**
 * Prepares passwords for SCRAM by RFC 4013, with PostgreSQL's rule for those that it prohibits.
 *
 * @module
 */
import {
  type CharacterTable,
  leftToRight,
  mappedToNothing,
  otherSpaces,
  prohibited,
  rightToLeft,
  unassigned,
} from "./saslprep_tables.ts";

/** The prepared password; unchanged when RFC 4013 prohibits it, as in PostgreSQL. */
export function saslPrepare(password: string): string {
  // deno-lint-ignore no-control-regex -- PostgreSQL leaves ASCII unchanged, including control characters
  if (/^[\x00-\x7f]*$/.test(password)) return password;
  const mapped = [...password]
    .map((character) => contains(otherSpaces, character) ? " " : character)
    .filter((character) => !contains(mappedToNothing, character))
    .join("");
  if (mapped === "") return password;
  const prepared = mapped.normalize("NFKC");
  return isAllowed([...prepared]) ? prepared : password;
}

function isAllowed(characters: readonly string[]): boolean {
  if (characters.some((each) => contains(prohibited, each) || contains(unassigned, each))) {
    return false;
  }
  const isRightToLeft = (character: string | undefined) =>
    character !== undefined && contains(rightToLeft, character);
  if (!characters.some(isRightToLeft)) return true;
  return !characters.some((character) => contains(leftToRight, character)) &&
    isRightToLeft(characters[0]) && isRightToLeft(characters.at(-1));
}

function contains(table: CharacterTable, character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  let low = 0;
  let high = table.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const [first, last] = table[middle] ?? [0, 0];
    if (code < first) high = middle;
    else if (code > last) low = middle + 1;
    else return true;
  }
  return false;
}
