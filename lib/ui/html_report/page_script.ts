/**
 * A field above every long table that leaves the rows with the typed words. Without it all is there
 * to be read.
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
  label.append("Show only", input, count);
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
