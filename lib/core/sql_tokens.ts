/**
 * Splits SQL into tokens by the rules of psql's lexer.
 *
 * Source: PostgreSQL's `src/fe_utils/psqlscan.l` and documentation, "4.1. Lexical Structure". Needs
 * no permission.
 *
 * @module
 */

/** The kind of a token; `open` is a quote or comment that is not terminated. */
export type TokenKind =
  | "space"
  | "line-comment"
  | "block-comment"
  | "word"
  | "quoted-identifier"
  | "string"
  | "number"
  | "parameter"
  | "symbol"
  | "open";

/** A piece of the text, `start` inclusive, `end` exclusive. */
export interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
}

/** How string literals are read. */
export interface TokenOptions {
  /**
   * Called for every plain literal; true where `standard_conforming_strings` is off, so that a
   * backslash escapes.
   */
  readonly backslashEscapes?: () => boolean;
}

const space = /[ \t\n\r\f\v]+/y;
const lineComment = /--[^\n\r]*/y;
const identifier = /[A-Za-z_\u{80}-\u{10ffff}][A-Za-z0-9_$\u{80}-\u{10ffff}]*/uy;
const number = /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const parameter = /\$\d+/y;
const dollarTag = /\$(?:[A-Za-z_\u{80}-\u{10ffff}][A-Za-z0-9_\u{80}-\u{10ffff}]*)?\$/uy;
const stringStart = /(?:[eEbBxXnN]|[uU]&)?'/y;
const quotedStart = /(?:[uU]&)?"/y;
/** Literals separated only by whitespace with a line break are one. */
const continuation = /(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'/y;

/** Splits a text into tokens. Nothing is omitted: joined, the tokens are the text. */
export function* tokenize(text: string, options: TokenOptions = {}): Generator<Token> {
  let at = 0;
  while (at < text.length) {
    const token = tokenAt(text, at, options);
    yield token;
    at = token.end;
  }
}

function tokenAt(text: string, start: number, { backslashEscapes }: TokenOptions): Token {
  const token = (kind: TokenKind, end: number): Token => ({ kind, start, end });
  const matched = (pattern: RegExp) => matchEnd(pattern, text, start);

  const spaceEnd = matched(space);
  if (spaceEnd !== undefined) return token("space", spaceEnd);
  const quote = matched(stringStart);
  if (quote !== undefined) {
    const prefix = text.charAt(start).toLowerCase();
    // N'…' is read like a plain literal
    const plain = prefix === "'" || prefix === "n";
    const escapes = prefix === "e" || plain && (backslashEscapes?.() ?? false);
    const end = stringEnd(text, quote, escapes);
    return end === undefined ? token("open", text.length) : token("string", end);
  }
  const doubleQuote = matched(quotedStart);
  if (doubleQuote !== undefined) {
    const end = closingQuote(text, doubleQuote, '"');
    return end === undefined ? token("open", text.length) : token("quoted-identifier", end);
  }
  const wordEnd = matched(identifier);
  if (wordEnd !== undefined) return token("word", wordEnd);
  const numberEnd = matched(number);
  if (numberEnd !== undefined) return token("number", numberEnd);
  if (text.startsWith("--", start)) return token("line-comment", matched(lineComment) ?? start + 2);
  if (text.startsWith("/*", start)) {
    const end = blockCommentEnd(text, start);
    return end === undefined ? token("open", text.length) : token("block-comment", end);
  }
  const parameterEnd = matched(parameter);
  if (parameterEnd !== undefined) return token("parameter", parameterEnd);
  const tagEnd = matched(dollarTag);
  if (tagEnd !== undefined) {
    const close = text.indexOf(text.slice(start, tagEnd), tagEnd);
    return close < 0 ? token("open", text.length) : token("string", close + tagEnd - start);
  }
  return token("symbol", start + 1);
}

function matchEnd(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

/** The end of a literal whose body begins at `at`, including continuations on further lines. */
function stringEnd(text: string, at: number, escapes: boolean): number | undefined {
  for (;;) {
    const end = escapes ? escapedQuote(text, at) : closingQuote(text, at, "'");
    if (end === undefined) return undefined;
    const more = matchEnd(continuation, text, end);
    if (more === undefined) return end;
    at = more;
  }
}

/**
 * The position after the closing quote; a doubled one is part of the text. A loop, because a
 * pattern would overflow on megabytes.
 */
function closingQuote(text: string, at: number, quote: string): number | undefined {
  for (;;) {
    const close = text.indexOf(quote, at);
    if (close < 0) return undefined;
    if (text.charAt(close + 1) !== quote) return close + 1;
    at = close + 2;
  }
}

function escapedQuote(text: string, at: number): number | undefined {
  const special = /['\\]/g;
  special.lastIndex = at;
  for (let match = special.exec(text); match !== null; match = special.exec(text)) {
    if (match[0] === "\\" || text.charAt(match.index + 1) === "'") {
      special.lastIndex = match.index + 2;
    } else return match.index + 1;
  }
  return undefined;
}

function blockCommentEnd(text: string, start: number): number | undefined {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = start + 2;
  let depth = 1;
  for (let match = edge.exec(text); match !== null; match = edge.exec(text)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return undefined;
}
