/**
 * Adds a filter field to every long table. The page is complete without it.
 */
export const pageScript = `
"use strict";
for (const block of document.querySelectorAll(".scroll.long")) {
  const rows = [...block.querySelectorAll("tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  label.className = "filter";
  input.type = "search";
  label.append("Filter", input, count);
  block.before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\\s+/);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      if (!row.hidden) shown++;
    });
    count.textContent = shown === rows.length ? "" : shown + " of " + rows.length;
  });
}
`;
