import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import stringWidth from "npm:string-width@9.0.0";
import { displayWidth } from "../../lib/ui/display_width.ts";

Deno.test("displayWidth() is what string-width computes", () => {
  const texts = [
    "",
    "orders → 12 kB · ✓",
    "\x1b[31mred\x1b[0m 日本の表",
    "한국어 \u1112\u1161\u11ab",
    "é e\u0301 ñ ß",
    "👩‍👩‍👧 👍🏽 🇩🇪 🇩 1️⃣ ❤️ ☺",
    "ﾞｶﾞ Ａ",
    "नमस्ते தமிழ் ไทยกำ",
    "\u200b\u2060\u00ad\tx",
    "مرحبا שלום",
  ];
  for (const text of texts) {
    strictEqual(displayWidth(text), stringWidth(text), JSON.stringify(text));
  }
});

Deno.test("displayWidth() adds up over words in any script", () => {
  const letters = fc.constantFrom("a", "日", "한", "é", "Ж", "ß", "→", "👍", "👩‍👩‍👧", "𝒳", "ก", "ａ");
  fc.assert(fc.property(fc.array(letters, { maxLength: 20 }), (some) => {
    const text = some.join(" ");
    strictEqual(displayWidth(text), stringWidth(text));
  }));
});
