/**
 * The page's style sheet: light or dark as the reader's system prefers, for any width and for
 * print. Contrast follows WCAG AA: 4.5 to 1 for text, 3 to 1 for graphics.
 */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f8; --line: #d5d9e0; --text: #1b1f27; --quiet: #555d6b;
  --copy: #1f63c4; --index: #a34a00; --foreign-key: #7a3fb5; --analyze: #1a7439;
  --on-block: #ffffff; --warn: #b35900; --good: #1a7439; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --panel: #1d2128; --line: #363d49; --text: #e7eaf0; --quiet: #a3acbb;
    --copy: #7db2ff; --index: #ffb066; --foreign-key: #cfa6ff; --analyze: #6fd790;
    --on-block: #10131a; --warn: #ffb066; --good: #6fd790; --bad: #ff9a90;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 4rem; max-width: 76rem;
  background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.25; margin: .5rem 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .25rem 0 .75rem; max-width: 70ch; }
a { color: var(--copy); }
header p, caption, figcaption, dd span, small, footer { color: var(--quiet); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 1rem 0 0; list-style: none; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.status { color: var(--good); font-weight: 600; }
.status.warned { color: var(--warn); }
.status.failed { color: var(--bad); }
.verdict { white-space: nowrap; font-weight: 600; }
.verdict.equal { color: var(--good); } .verdict.different { color: var(--bad); } .verdict.unchecked { color: var(--warn); }
.digest { font-size: .8rem; overflow-wrap: anywhere; }

dl { margin: 0; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; }
.tiles > div, .servers > div { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .9rem; }
.tiles strong { display: block; font-size: 1.45rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles span { font-size: .85rem; }
.servers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .75rem; margin-top: .75rem; }
.servers code { display: block; }

details > summary { cursor: pointer; color: var(--quiet); margin: .5rem 0; }
.warnings details > summary { margin: 0; }
summary h3 { display: inline; color: var(--text); margin-right: .5rem; }
figure { margin: .75rem 0 1.75rem; }
.chart { display: block; width: calc(100% - 4.5rem); margin-left: 4.5rem; overflow: visible; }
.chart.steps { width: calc(100% - 11rem); margin-left: 11rem; }
.chart text { font-size: 11.5px; fill: var(--text); }
.chart .lane, .chart text.tick { fill: var(--quiet); font-variant-numeric: tabular-nums; }
.chart line.tick { stroke: var(--line); }
.chart .track { fill: var(--panel); }
.chart .label { fill: var(--on-block); pointer-events: none; }
.chart .label.gathered { fill: var(--text); }
rect.copy { fill: var(--copy); } rect.index { fill: var(--index); }
rect.foreign-key { fill: var(--foreign-key); } rect.analyze { fill: var(--analyze); }
.chart rect:not(.track) { stroke: var(--page); stroke-width: .75; }
.chart rect.gathered { fill-opacity: .3; stroke-width: 1; }
rect.gathered.copy { stroke: var(--copy) !important; } rect.gathered.index { stroke: var(--index) !important; }
rect.gathered.foreign-key { stroke: var(--foreign-key) !important; } rect.gathered.analyze { stroke: var(--analyze) !important; }
.chart rect:not(.track):hover { stroke: var(--text) !important; stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0 0; padding: 0; list-style: none; font-size: .9rem; }
.swatch { width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -1px; border-radius: 2px; }

.scroll { overflow-x: auto; }
.scroll.long { max-height: 34rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; padding: 0 0 .4rem; font-size: .85rem; }
caption span { display: block; position: sticky; left: 0; max-width: min(70ch, calc(100vw - 3rem)); }
.scroll + .scroll { margin-top: 1.25rem; }
@media (max-width: 40rem) { td:not(.number) { min-width: 10rem; } }
.long caption { padding: .5rem .6rem; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; background: var(--page); white-space: nowrap; }
.long thead th { position: sticky; top: 0; box-shadow: 0 1px var(--line); }
tbody th { font-weight: 400; overflow-wrap: anywhere; min-width: 9rem; }
tbody tr:hover { background: var(--panel); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { display: block; width: 6rem; height: .7rem; margin-top: .35rem; background: var(--panel); border-radius: 2px; overflow: hidden; }
.bar rect { fill: var(--copy); }
.bar line { stroke: var(--text); stroke-width: 2; }
.failure { border-left: 4px solid var(--bad); background: var(--panel); border-radius: 4px; padding: .5rem .8rem; margin: .5rem 0; overflow-wrap: anywhere; }
.filter { display: block; margin: 0 0 .5rem; font-size: .9rem; color: var(--quiet); }
.filter input { font: inherit; color: var(--text); background: var(--page); border: 1px solid var(--quiet); border-radius: 6px; padding: .25rem .5rem; margin: 0 .5rem; max-width: 60vw; }
:focus-visible { outline: 2px solid var(--copy); outline-offset: 2px; }

.warnings { padding: 0; margin: 0; list-style: none; }
.warnings > li { border-left: 4px solid var(--warn); background: var(--panel); border-radius: 4px; padding: .5rem .8rem; margin-bottom: .5rem; overflow-wrap: anywhere; }
.warnings > li.bad { border-left-color: var(--bad); }
.warnings > li.quiet { border-left-color: var(--line); }
.warnings pre { margin: .25rem 0; max-height: 16rem; overflow: auto; font: .85em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.objects, .remedy, .warnings details { font-size: .92rem; }
.objects { color: var(--quiet); }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .75rem; font-size: .85rem; }

@media print {
  :root {
    --page: #fff; --panel: #f5f6f8; --line: #ccc; --text: #000; --quiet: #444; --copy: #1f63c4; --index: #a34a00;
    --foreign-key: #7a3fb5; --analyze: #1a7439; --on-block: #fff; --warn: #b35900; --good: #1a7439; --bad: #b3261e;
  }
  body { max-width: none; padding: 0; font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  nav, .filter { display: none; }
  .scroll, .scroll.long { overflow: visible; max-height: none; border: 0; }
  .long thead th { position: static; }
  details::details-content { content-visibility: visible; block-size: auto; }
  h2, h3, caption, summary { break-after: avoid; }
  tr, .tiles > div, .warnings > li, figure { break-inside: avoid; }
}
`;
