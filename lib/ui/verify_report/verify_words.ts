import { type Markup, markup } from "../html_report/markup.ts";
import type { VerdictView, VerifyView } from "./verify_view.ts";

const words: Readonly<Record<VerdictView, string>> = {
  equal: "✓ equal",
  different: "✗ different",
  unchecked: "? not fully checked",
};

/** A verdict for a table cell, readable without color. */
export function verdictMark(verdict: VerdictView): Markup {
  return markup`<span class="verdict ${verdict}">${words[verdict]}</span>`;
}

/** The overall verdict. */
export function verdictSentence({ verdict }: VerifyView): Markup {
  switch (verdict) {
    case "equal":
      return markup`<p class="status">✓ Source and target are equal</p>`;
    case "different":
      return markup`<p class="status failed">✗ Source and target <a href="#differences">differ</a></p>`;
    case "unchecked":
      return markup`<p class="status warned">? No difference was found, but <a href="#not-checked">not everything could be compared</a></p>`;
  }
}

const methods: Readonly<Record<string, string>> = {
  hash: "64-bit hash of each row",
  md5: "MD5 of each row",
  columns: "MD5 of each value",
};

/** How the digest was computed. */
export function methodWords(method: string | undefined): string {
  return method === undefined ? "" : methods[method] ?? method;
}
