# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The look of report.html: one column, readable on a phone, in the dark and on paper. Pure: no I/O."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1a2029; --soft: #5b6675; --line: #e0e4ea; --bar: #6f8fd6; --code: #f0f2f5;
  --pass: #147a45; --pass-bg: #e3f5ea; --warn: #8a5a00; --warn-bg: #fdf1d6; --fail: #b3261e; --fail-bg: #fde8e6;
  --skip: #4a5a86; --skip-bg: #e8ecf7; --none: #5b6675; --none-bg: #eceff3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --card: #1a2028; --ink: #e6e9ee; --soft: #9aa6b5; --line: #2c3540; --bar: #5878c0; --code: #222a34;
    --pass: #63d495; --pass-bg: #16301f; --warn: #f0c05a; --warn-bg: #352a10; --fail: #ff8d84; --fail-bg: #3d1d1b;
    --skip: #a9b9e8; --skip-bg: #232b42; --none: #9aa6b5; --none-bg: #262d37;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem; }
section, header { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .6rem 0 .3rem; } h2 { font-size: 1.1rem; margin: 0 0 .75rem; }
h3 { font-size: .8rem; margin: 1.25rem 0 .25rem; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); }
p { margin: .3rem 0; } a { color: inherit; } .soft { color: var(--soft); font-size: .9rem; }
code, pre { background: var(--code); border-radius: 6px;
  font: .85em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { padding: .1em .35em; } pre { padding: .6rem .75rem; margin: .5rem 0 0; white-space: pre-wrap; }
header { border-top: 6px solid var(--tone); }
.pass, .go { --tone: var(--pass); --tone-bg: var(--pass-bg); } .warn, .incomplete { --tone: var(--warn); --tone-bg: var(--warn-bg); }
.fail, .error, .no-go { --tone: var(--fail); --tone-bg: var(--fail-bg); }
.skipped, .checked { --tone: var(--skip); --tone-bg: var(--skip-bg); }
.not-run { --tone: var(--none); --tone-bg: var(--none-bg); }
.chip { display: inline-block; min-width: 4.6rem; padding: .1rem .6rem; border-radius: 99px; text-align: center; white-space: nowrap;
  font-size: .8rem; font-weight: 600; color: var(--tone); background: var(--tone-bg); }
.verdict { font-size: 1rem; padding: .25rem 1rem; letter-spacing: .05em; }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: 1rem; }
.tile { flex: 1 1 6.5rem; padding: .6rem .8rem; border-radius: 8px; color: var(--tone); background: var(--tone-bg); }
.tile b { display: block; font-size: 1.4rem; line-height: 1.2; font-variant-numeric: tabular-nums; } .tile span { font-size: .85rem; }
.stop { border-left: 4px solid var(--tone); padding: .1rem 0 .1rem .9rem; margin: .9rem 0; }
.next::before { content: "\\2192\\00a0"; color: var(--tone); font-weight: 700; }
details, .row { border-top: 1px solid var(--line); }
summary { list-style: none; cursor: pointer; } summary::-webkit-details-marker { display: none; }
summary, .row { display: grid; align-items: start; padding: .6rem 0;
  grid-template-columns: 4rem 5.4rem minmax(0, 1fr) 1rem; gap: .25rem .75rem; }
summary::after { content: "+"; color: var(--soft); text-align: right; } details[open] > summary::after { content: "\\2212"; }
details.plain { border: 0; } .plain summary::after { margin-left: .4em; }
.plain summary { display: inline; padding: 0; color: var(--soft); font-size: .9rem; }
summary:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; border-radius: 4px; }
.id { white-space: nowrap; font-weight: 600; font-variant-numeric: tabular-nums; }
.more { padding: 0 0 1rem 1rem; border-left: 3px solid var(--line); margin: 0 0 .75rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500; }
th, td { padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child th { border-top: 0; } .number { text-align: right; white-space: nowrap; } td.joined { border-top: 0; padding-top: 0; }
.changes > div { display: grid; grid-template-columns: minmax(0, 1fr) auto minmax(0, 1fr); gap: .1rem .6rem; padding: .5rem 0;
  align-items: start; border-top: 1px solid var(--line); }
.changes > div:first-child { border-top: 0; } .changes .what { grid-column: 1 / -1; font-weight: 600; font-size: .9rem; }
dl { display: grid; grid-template-columns: minmax(7rem, auto) minmax(0, 1fr); gap: .15rem .9rem; margin: .5rem 0; font-size: .85rem; }
dt { color: var(--soft); } dd { margin: 0; }
.gantt { display: grid; grid-template-columns: 7rem minmax(0, 1fr) 5rem; gap: .4rem .75rem; align-items: center; font-size: .9rem; }
.track { position: relative; height: 1rem; background: var(--code); border-radius: 4px; }
.track i { position: absolute; top: 0; bottom: 0; min-width: 3px; border-radius: 4px; background: var(--bar); print-color-adjust: exact; }
.track i.fail { background: var(--fail); }
.plot { width: 100%; height: auto; margin-top: .75rem; } .plot text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.shot { display: block; width: 100%; border: 1px solid var(--line); border-radius: 8px; }
@media (max-width: 34rem) {
  body { font-size: 15px; } main { padding: .6rem; gap: .6rem; } section, header { padding: 1rem; }
  summary, .row { grid-template-columns: 4rem minmax(0, 1fr) 1rem; }
  summary > .what, .row > .what { grid-column: 1 / -1; grid-row: 2; } .chip { justify-self: start; }
  .gantt { grid-template-columns: 5.4rem minmax(0, 1fr) 4.4rem; } dl { grid-template-columns: minmax(5rem, 8rem) minmax(0, 1fr); }
  .plot text { font-size: 22px; }
  .wide { display: none; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --line: #bbb; } body { font-size: 10pt; } main { max-width: none; padding: 0; gap: .4rem; }
  section, header { border-radius: 0; padding: .6rem; } .stop, .row, summary, tr, .shot { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; } summary::after { content: none; }
  .chip, .tile, .track, header { print-color-adjust: exact; }
}
"""
