"""The style sheet of our pages."""

STYLE = """
:root { --ink: #1d2430; --soft: #667080; --line: #e1e5eb; --bad: #b3261e; --note: #8a6100; --good: #2b7a3d; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { margin: 0 0 2px; font-size: 26px; }
h2 { margin: 0 0 12px; font-size: 18px; }
h3 { margin: 18px 0 8px; font-size: 15px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 18px 20px; margin-top: 18px; }
.soft, figcaption { color: var(--soft); }
.verdict { font-weight: 600; }
.bad { color: var(--bad); }
.good { color: var(--good); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
ul { margin: 0; padding: 0; list-style: none; }
li { padding: 8px 0 8px 14px; border-left: 4px solid var(--note); margin-bottom: 8px; }
li.bad { border-color: var(--bad); color: inherit; }
li, figcaption, dd { overflow-wrap: anywhere; }
.fix { color: var(--soft); }
.tag { font-size: 12px; padding: 1px 7px; border-radius: 9px; background: #f3ead3; color: var(--note);
  margin-right: 6px; }
.bad > .tag { background: #f9dedc; color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
td:first-child { overflow-wrap: anywhere; min-width: 8.5em; }
th { color: var(--soft); font-weight: 500; white-space: normal; vertical-align: bottom; }
.words td:last-child, .words th:last-child { text-align: left; color: var(--soft); white-space: normal; }
@media (max-width: 1080px) { th, td { padding: 5px 7px; } }
@media (max-width: 760px) { th, td { padding: 4px 3px; font-size: 12px; } td > .bar { display: none; } }
pre { overflow-x: auto; font-size: 12px; }
tr.none td { color: #a3abb6; }
.swatch { display: inline-block; width: 12px; height: 12px; border: 1px solid #0003; border-radius: 2px;
  margin-right: 8px; }
svg { display: block; width: 100%; height: auto; }
.key { margin-right: 16px; white-space: nowrap; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 16px; }
figure { margin: 0; }
figure div { display: flex; gap: 4px; align-items: flex-start; }
figcaption { font-size: 12px; }
figure div > * { flex: 1 1 0; min-width: 0; }
img { display: block; width: 100%; border-radius: 3px; }
.lost { margin: 0; background: #f1f2f4; color: var(--soft); border-radius: 3px; padding: 32px 8px; text-align: center;
  font-size: 12px; }
"""
