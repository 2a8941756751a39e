/**
 * The width of a text in a terminal.
 *
 * The segmenter and the patterns are made on first use, because together they take as long as
 * loading a hundred modules, and most lines need neither.
 *
 * @module
 */
import { eastAsianWidth } from "get-east-asian-width";

/** ASCII, and the narrow symbols of the tool's own lines. */
const narrow = /^[\x20-\x7e·…–—→✓✗×≤±]*$/;

/** The width of a text in terminal columns: colors take none, `日` takes two. */
export function displayWidth(text: string): number {
  if (narrow.test(text)) return text.length;
  // deno-lint-ignore no-control-regex -- an escape sequence begins with ESC
  const plain = text.replace(/\x1b\[[0-9;]*m/g, "");
  if (narrow.test(plain)) return plain.length;
  let width = 0;
  for (const { segment } of graphemesOf(plain)) width += clusterWidth(segment);
  return width;
}

let segmenter: Intl.Segmenter | undefined;

/** What a reader sees as characters. */
export function graphemesOf(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return segmenter.segment(text);
}

interface Patterns {
  /** Takes a column of its own: neither a control character nor a mark on another one. */
  readonly visible: RegExp;
  readonly emoji: RegExp;
}

let patterns: Patterns | undefined;

function makePatterns(): Patterns {
  return {
    visible: new RegExp(
      String
        .raw`[^\p{Default_Ignorable_Code_Point}\p{Control}\p{Format}\p{Enclosing_Mark}\p{Nonspacing_Mark}]`,
      "v",
    ),
    emoji: new RegExp(
      String
        .raw`^(?:\p{RGI_Emoji}|\p{Regional_Indicator}{1,2}|[\d#*]\u{FE0F}|.+\u{200D}\p{Extended_Pictographic})`,
      "v",
    ),
  };
}

/**
 * An emoji takes two columns, of however many code points it consists; other clusters take those of
 * each visible one, as of spacing marks. A Hangul syllable takes those of its first part.
 */
function clusterWidth(cluster: string): number {
  const { visible, emoji } = patterns ??= makePatterns();
  const at = cluster.search(visible);
  if (at < 0) return 0;
  const shown = cluster.slice(at);
  if (shown.length > 1 && emoji.test(shown)) return 2;
  const points = [...shown].filter((point) => visible.test(point));
  const counted = /^[\u1100-\u11ff\ua960-\ua97c\uac00-\ud7fb]/.test(shown)
    ? points.slice(0, 1)
    : points;
  return counted.reduce((sum, point) => sum + eastAsianWidth(point.codePointAt(0) ?? 0), 0);
}
