// The table of latest decisions: new ones on top, an end written into its row, a row opens what was compared.

import { h, seconds } from "./draw.js";

const KEPT = 200, EXPLAINED = 60, SHOWN = 24;
const body = document.getElementById("decisions").tBodies[0];
const button = document.getElementById("pause");
const filter = document.getElementById("filter");
const skipped = document.getElementById("skipped");

const kept = new Map(); // by number, in the order in which they came
const opened = new Set();
let paused = false;
let nSkipped = 0;

export function hear({ decisions, skipped: n }) {
  for (const decision of decisions) {
    const before = kept.get(decision.number);
    kept.set(decision.number, before ? { ...decision, explanation: decision.explanation ?? before.explanation } : decision);
  }
  forget();
  nSkipped += n;
  if (!paused) show();
}

// The oldest goes first; those with an explanation, which are few, stay longer, and what somebody has opened stays.
function forget() {
  let explained = [...kept.values()].filter(passes.explained).length;
  for (const [number, decision] of kept) {
    if (kept.size <= KEPT) return;
    if (opened.has(number)) continue;
    if (passes.explained(decision)) {
      if (explained <= EXPLAINED) continue;
      explained -= 1;
    }
    kept.delete(number);
  }
}

export function pause() {
  paused = !paused;
  button.setAttribute("aria-pressed", paused);
  button.textContent = paused ? "Go on" : "Pause";
  if (!paused) show();
}

const passes = {
  "": () => true,
  refused: (d) => d.reason !== null,
  late: (d) => d.on_time === false,
  explained: (d) => d.explanation !== undefined,
};

export function show() {
  const chosen = [...kept.values()].filter(passes[filter.value]).slice(-SHOWN).reverse();
  const had = new Map([...body.children].map((row) => [row.dataset.is, row]));
  const rows = chosen.flatMap((d) => {
    // a row that says the same stays the same element: focus and selection live in it
    const is = `${d.number} ${d.end} ${d.on_time}`;
    const row = had.get(is) ?? decisionRow(d, is);
    return opened.has(d.number) ? [row, had.get(`open ${is}`) ?? openedRow(d, `open ${is}`)] : [row];
  });
  const focused = document.activeElement?.dataset?.number;
  replace(rows.length ? rows : [h("tr", {}, h("td", { colspan: 10, class: "soft" }, "None yet."))]);
  if (focused && !document.activeElement?.dataset?.number) body.querySelector(`[data-number="${focused}"]`)?.focus();
  skipped.textContent = nSkipped ? `${nSkipped.toLocaleString("en")} came too fast to be shown` : "";
}

// Moves what is there as little as possible: an element that is taken out loses its focus.
function replace(rows) {
  const wanted = new Set(rows);
  for (const row of [...body.children]) if (!wanted.has(row)) row.remove();
  rows.forEach((row, i) => { if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null); });
}

function decisionRow(d, is) {
  const toggle = h("button", { class: "opens", type: "button", "aria-expanded": opened.has(d.number), "data-number": d.number }, String(d.number));
  toggle.addEventListener("click", () => {
    if (!opened.delete(d.number)) opened.add(d.number);
    toggle.setAttribute("aria-expanded", opened.has(d.number));
    show();
  });
  const time = new Date(1000 * d.at_s).toTimeString().slice(0, 8);
  const [kind, words] = outcome(d);
  const marks = [d.attempt > 1 ? `try ${d.attempt}` : null, d.copied ? "copy" : null, d.probe ? "probe" : null].filter(Boolean);
  const n = (text) => h("td", { class: "n" }, text);
  return h("tr", { "data-is": is },
    h("td", { class: "n" }, toggle), h("td", { class: "soft" }, time), h("td", {}, d.qos), h("td", {}, d.model),
    h("td", {}, d.resource ?? "–", marks.length ? h("span", { class: "soft" }, ` ${marks.join(", ")}`) : null),
    n(d.p_on_time === null ? "–" : d.p_on_time.toFixed(3)), n(seconds(d.expected_s)), n(seconds(d.completion_s)),
    h("td", {}, h("span", { class: kind }, words)),
    h("td", { class: "soft" }, d.request_id ?? ""));
}

function outcome(d) {
  if (d.reason !== null) return ["bad", `refused: ${d.reason}`];
  if (d.end === null) return ["soft", "open"];
  const end = d.end.replace("_", " ");
  if (d.end !== "completed") return [d.end === "cancelled" ? "soft" : "bad", end];
  return d.on_time === null ? ["soft", end] : d.on_time ? ["good", "on time"] : ["bad", "late"];
}

function openedRow(d, is) {
  const inner = [];
  const facts = [["predicted wait", seconds(d.wait_s)], ["service", seconds(d.service_s)], ["bound issued", seconds(d.bound_s)],
    ["time left", seconds(d.left_s)], ["first token", seconds(d.ttft_s)], ["per token", seconds(d.tpot_s)],
    ["tokens", d.tokens], ["retry after", seconds(d.retry_after_s)], ["we would have chosen", d.preferred === d.resource ? null : d.preferred]];
  const told = facts.filter(([, value]) => value !== null && value !== undefined && value !== "–");
  inner.push(h("p", { class: "note" }, told.map(([name, value]) => `${name} ${value}`).join(" · ")));
  if (d.explanation) {
    const [heading, ...rows] = d.explanation.cells;
    inner.push(h("table", {},
      h("thead", {}, h("tr", {}, heading.map((text, i) => h("th", { scope: "col", class: i && i < 6 ? "n" : null }, text)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((text, i) =>
        h(i ? "td" : "th", { scope: i ? null : "row", class: i && i < 6 ? "n" : null }, text)))))));
  } else {
    inner.push(h("p", { class: "note" }, "What was compared is kept for a few decisions a second only: choose “explained” above."));
  }
  return h("tr", { class: "opened", "data-is": is }, h("td", { colspan: 10 }, inner));
}
