"""The page's style: one column, system fonts, light, dark and print; wide things scroll inside their own box."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f4f6f8; --rule: #dfe4ea; --ink: #141a21; --muted: #5a6675;
  --source: #7d8896; --target: #2467d6; --adapted: #dc5a1c; --canvas: #0a0d12;
  --beats: #117a47; --par: #8a6100; --behind: #b52e26; --unopposed: #5a6675;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #10151b; --panel: #181f27; --rule: #2b3541; --ink: #e8edf3; --muted: #9aa7b6;
    --source: #8e9aa9; --target: #6aa2ff; --adapted: #ff8f52; --canvas: #05070a;
    --beats: #4cc98c; --par: #e0b04a; --behind: #ff7a70; --unopposed: #9aa7b6;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1040px; padding: 2.4rem 1.1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  -webkit-text-size-adjust: 100%;
}
h1 {
  font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.15; margin: .2rem 0 1rem; letter-spacing: -.015em;
  overflow-wrap: anywhere;
}
h2 {
  font-size: 1.3rem; letter-spacing: -.01em; margin: 3.2rem 0 .4rem; padding-top: 1.1rem;
  border-top: 1px solid var(--rule);
}
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; overflow-wrap: anywhere; }
p, ul { max-width: 46rem; margin: .5rem 0; }
.eyebrow, .small, figcaption { color: var(--muted); font-size: .86rem; }
.eyebrow { margin: 0; letter-spacing: .04em; text-transform: uppercase; }
.numbers {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.4rem, 1fr)); gap: .7rem; margin: 1.3rem 0;
}
.numbers div { background: var(--panel); border-radius: 10px; padding: .8rem .95rem; }
.numbers b {
  display: block; font-size: 1.38rem; line-height: 1.3; white-space: nowrap;
  font-variant-numeric: tabular-nums; letter-spacing: -.02em;
}
.numbers span { color: var(--muted); font-size: .84rem; line-height: 1.3; display: block; }
.verdict {
  border-left: 5px solid; border-radius: 4px 10px 10px 4px; background: var(--panel); padding: .85rem 1.1rem;
  margin: 1.2rem 0;
}
.verdict b { display: block; font-size: 1.06rem; }
.verdict p, .verdict ul { margin: .2rem 0 0; max-width: none; }
.verdict ul { padding-left: 1.1rem; color: var(--muted); font-size: .9rem; }
.beats { border-color: var(--beats); } .beats b { color: var(--beats); }
.par { border-color: var(--par); } .par b { color: var(--par); }
.behind { border-color: var(--behind); } .behind b { color: var(--behind); }
.unopposed { border-color: var(--unopposed); }
.scroll { overflow-x: auto; margin: .9rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { text-align: right; padding: .42rem .7rem; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--muted); font-weight: 500; font-size: .84rem; }
th:first-child, td:first-child { text-align: left; padding-left: .5rem; }
th.fd, td.fd { min-width: 11rem; text-align: left; }
td.fd span { display: inline-block; width: 4.3rem; }
td.fd i {
  display: inline-block; width: calc(var(--share) * 6rem); height: .62rem; border-radius: 0 3px 3px 0;
  background: var(--source);
}
tr.floor td { color: var(--muted); } tr.floor i { opacity: .45; }
tr.yours td { font-weight: 650; background: var(--panel); } tr.yours td.fd i { background: var(--adapted); }
.tag {
  font-size: .7rem; font-weight: 600; border: 1px solid; border-radius: 99px; padding: .02rem .42rem;
  margin-left: .45rem; color: var(--beats); white-space: nowrap;
}
dl {
  display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; font-size: .88rem;
  margin: .8rem 0; max-width: 52rem;
}
dt { font-weight: 600; } dd { margin: 0; color: var(--muted); }
figure { margin: 0; break-inside: avoid; }
svg { display: block; width: 100%; height: auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { font-family: inherit; }
.triples { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .9rem; margin: 1rem 0; }
.triples svg { border-radius: 8px; }
.triples figcaption { display: flex; text-align: center; font-size: .76rem; margin-top: .15rem; }
.triples figcaption span { flex: 1; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1.1rem; margin: 1rem 0; }
.pair figure { background: var(--panel); border-radius: 10px; padding: .8rem; }
.curves {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); gap: 1rem;
  margin: .6rem 0 1rem;
}
.curves figcaption { display: flex; justify-content: space-between; overflow-wrap: anywhere; }
.curves figcaption b { color: var(--ink); font-weight: 600; }
.dot { display: inline-block; width: .68em; height: .68em; border-radius: 50%; margin: 0 .3em 0 .8em; }
.dot:first-child { margin-left: 0; }
.cross { margin: 0 .25em 0 .8em; color: var(--ink); font-weight: 700; }
pre {
  background: var(--panel); border-radius: 10px; padding: .9rem 1rem; overflow-x: auto;
  font: .82rem/1.5 ui-monospace, Menlo, Consolas, monospace;
}
.times {
  display: grid; grid-template-columns: max-content max-content 1fr; gap: .3rem .9rem; align-items: center;
  font-size: .92rem; max-width: 44rem; margin: .8rem 0;
}
.times span {
  overflow-wrap: anywhere; } .times b { text-align: right; font-variant-numeric: tabular-nums;
  font-weight: 600;
}
.times i { height: .62rem; border-radius: 3px; background: var(--target); min-width: 2px; }
footer {
  margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--rule); color: var(--muted);
  font-size: .84rem;
}
@media (max-width: 34rem) {
  body { padding-top: 1.4rem; }
  td:first-child, th:first-child {
    position: sticky; left: 0; background: var(--paper); white-space: normal; min-width: 7.5rem;
  }
  tr.yours td:first-child { background: var(--panel); }
  th, td { padding-inline: .4rem; } th.fd, td.fd { min-width: 7rem; } td.fd i { width: calc(var(--share) * 2.4rem); }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
}
@media print {
  :root {
    --paper: #fff; --panel: #f4f6f8; --rule: #cfd6de; --ink: #000; --muted: #444;
    --source: #7d8896; --target: #2467d6; --adapted: #dc5a1c; --canvas: #0a0d12;
    --beats: #117a47; --par: #8a6100; --behind: #b52e26; --unopposed: #5a6675;
  }
  body {
    font-size: 10.5pt; padding: 0; max-width: none; print-color-adjust: exact;
    -webkit-print-color-adjust: exact;
  }
  h2, h3, h2 + p { break-after: avoid; } h2 { margin-top: 1.6rem; } tr, .verdict, .numbers div { break-inside: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; } .scroll { overflow: visible; }
  .triples, .curves { grid-template-columns: repeat(3, 1fr); } .pair { grid-template-columns: 1fr 1fr; }
  th, td { padding: .25rem .4rem; } td.fd { min-width: 8rem; }
}
"""
