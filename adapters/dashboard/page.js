// The page: hears /api/events and shows what they tell. It changes nothing in the engine.

import { bar, count, curvesPlot, h, key, rate, seconds, share, sparkline } from "./draw.js";
import { hear, pause, show } from "./decisions.js";

const STALE_MS = 4000, CURVES_MS = 2000;
const $ = (id) => document.getElementById(id);
const palette = (i) => `var(--c${i % 8})`;

let seen = null; // the last snapshot
let heardAt = null; // when anything was heard last, by this page's clock
let source = null;

function connect() {
  source?.close();
  source = new EventSource("api/events");
  source.addEventListener("snapshot", (event) => { heard(); draw(JSON.parse(event.data)); });
  source.addEventListener("doctor", (event) => { heard(); drawFindings(JSON.parse(event.data)); });
  source.addEventListener("decisions", (event) => { heard(); hear(JSON.parse(event.data)); });
}

function heard() {
  heardAt = performance.now();
  status("live", "live");
}

// A stream that says nothing is worse than one that ends: what is on the page is no longer true.
function watch() {
  if (heardAt !== null && performance.now() - heardAt > STALE_MS) {
    const ago = Math.round((performance.now() - heardAt) / 1000);
    status("stale", `stale: no news for ${ago} s, reconnecting`);
  }
  if (source.readyState === EventSource.CLOSED) connect();
}

function status(kind, text) {
  const place = $("status");
  document.body.classList.toggle("stale-page", kind === "stale");
  if (place.className !== kind) place.className = kind;
  if (place.textContent !== text) place.textContent = text;
}

function draw(told) {
  seen = told;
  const { mode, rollout, in_flight: open } = told.engine;
  $("mode").hidden = false;
  $("mode").className = `pill ${mode === "active" && rollout === 1 ? "good" : "warn"}`;
  $("mode").textContent = mode === "active" && rollout < 1 ? `active for ${share(rollout, 0)}` : mode;
  const offered = told.classes.reduce((sum, c) => sum + (c.jobs?.recent.offered ?? 0), 0);
  $("totals").replaceChildren(
    fact("jobs/s", rate(offered / 60)), fact("in flight", count(open)), fact("resources", count(told.resources.length + told.left_out)));
  $("cards").replaceChildren(...told.classes.map(card));
  $("resources").tBodies[0].replaceChildren(...told.resources.map(resourceRow));
  $("left-out").hidden = !told.left_out;
  $("left-out").textContent = `${count(told.left_out)} more resources are not shown: those in trouble and those with most decisions are.`;
  drawRefusals(told.classes);
  offerChoice(told.models);
}

const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
const line = (name, ...value) => [h("dt", {}, name), h("dd", {}, ...value)];
const pill = (kind, text) => h("span", { class: `pill ${kind}` }, text);

function card(c) {
  const { certificate: promise, jobs, bounds } = c;
  const bound = [["within", bounds.deadline_s], ["first token", bounds.ttft_s], ["per token", bounds.tpot_s]]
    .filter(([, s]) => s !== null).map(([name, s]) => `${name} ${seconds(s)}`).join(", ");
  const recent = jobs?.recent;
  const kept = recent?.attainment ?? null;
  const kind = kept === null ? "soft" : kept >= c.on_time ? "good" : kept >= c.on_time - 0.05 ? "warn" : "bad";
  const words = kept === null ? "nothing known in the last minute"
    : `${share(kept)} on time in the last minute, target ${share(c.on_time)}`;
  const claim = promise.n === 0 ? "–" : `${share(promise.claimed)} / ${share(promise.on_time)}`;
  const held = promise.n === 0 ? "–" : `${share(promise.observed)} ± ${share(promise.bound)} of ${count(promise.n)}`;
  return h("article", { class: "card" },
    h("h3", {}, c.name, h("small", {}, bound)),
    h("div", { class: "headline" },
      h("strong", { class: kind, title: words }, share(kept)),
      jobs && sparkline(jobs.by_second, c.on_time, words)),
    h("dl", { class: "facts" },
      line("target", share(c.on_time)),
      jobs && line("offered, last minute", `${count(recent.offered)} (${rate(recent.offered / 60)}/s)`),
      jobs && line("refused, last minute", recent.offered ? `${count(recent.refused)} (${share(recent.refused / recent.offered)})` : "0"),
      line("claimed / observed", claim, promise.n ? pill(promise.disagree ? "bad" : "good", promise.disagree ? "disagree" : "agree") : null),
      line("within bound issued", held),
      jobs && line("since the start", `${share(jobs.attainment)} of ${count(jobs.known)}`),
      jobs && line("open", count(jobs.open)),
      c.headroom === null ? null : line("could take more", h("span", { class: c.headroom < 0 ? "bad" : c.headroom < 0.1 ? "warn" : null },
        c.headroom <= -1 ? "too slow at any load" : c.headroom < 0 ? `no: ${share(-c.headroom, 0)} too much` : share(c.headroom, 0)))));
}

function resourceRow(r) {
  const states = [];
  if (r.health.state !== "closed") states.push(pill("bad", r.health.retry_in_s > 0 ? `ejected, probe in ${seconds(r.health.retry_in_s)}` : "ejected, probing"));
  if (r.overdue) states.push(pill("bad", `${r.overdue} overdue`));
  if (r.drained) states.push(pill("warn", "drained"));
  if (!states.length) states.push(pill("good", "up"));
  const chosen = $("model").value || seen.models[0].name;
  const signal = $("signal").value;
  const profile = r.profiles.find((p) => p.model === chosen && (p.signal === signal || !signal)) ?? r.profiles.find((p) => p.model === chosen);
  const place = r.slots ?? r.max_running;
  const wait = seen.classes.map((c) => r.wait_s[c.name]).find((s) => s !== undefined);
  const cell = (...inner) => h("td", { class: "n" }, ...inner);
  return h("tr", {},
    h("th", { scope: "row" }, r.name, r.kind ? h("small", {}, ` ${r.kind}`) : null),
    h("td", {}, states),
    h("td", {}, bar(r.share)),
    cell(count(r.running), h("span", { class: "soft" }, `/${count(place)}`)), cell(count(r.queued)),
    cell(seconds(wait)),
    cell(seconds(profile?.median_s)), cell(seconds(profile?.p90_s)), cell(seconds(profile?.p99_s)),
    cell(count(profile?.n_results), profile && profile.source !== "data" ? h("small", { class: "soft" }, ` ${profile.source}`) : null),
    cell(share(profile?.availability)), cell(count(r.alarms)),
    h("td", { class: "soft" }, reportWords(r.report)));
}

function reportWords(report) {
  if (report === null) return "–";
  const values = Object.entries(report.values).map(([name, v]) => `${name} ${v === null ? "?" : +v.toPrecision(3)}`);
  return `${values.join(", ") || "nothing"}, ${report.age_s === null ? "never" : `${seconds(report.age_s)} ago`}`;
}

function drawRefusals(classes) {
  const rows = classes.flatMap(({ name, jobs }) => Object.entries(jobs?.refused ?? {})
    .sort((a, b) => b[1] - a[1])
    .map(([reason, ever]) => h("tr", {},
      h("th", { scope: "row" }, name), h("td", {}, reason),
      h("td", { class: "n" }, count(jobs.recent.reasons[reason] ?? 0)),
      h("td", { class: "n" }, count(ever)), h("td", {}, bar(ever / jobs.offered)))));
  $("refusals").tBodies[0].replaceChildren(
    ...(rows.length ? rows : [h("tr", {}, h("td", { colspan: 5, class: "soft" }, "No job was refused."))]));
}

function drawFindings(findings) {
  const rows = findings.map((f) => h("div", { class: `finding ${f.severity}` },
    h("p", {}, h("strong", {}, `${f.severity}${f.subject ? `: ${f.subject}` : ""}`), ` ${f.what} `, h("span", { class: "soft" }, `(${f.evidence})`)),
    h("p", { class: "todo" }, f.todo)));
  const place = $("findings");
  const text = JSON.stringify(findings);
  if (place.dataset.told === text) return; // said once is enough for who listens
  place.dataset.told = text;
  place.hidden = !rows.length;
  place.replaceChildren(...rows);
}

function offerChoice(models) {
  fill($("model"), models.map((m) => m.name));
  const model = models.find((m) => m.name === $("model").value) ?? models[0];
  fill($("feature"), model.features);
  fill($("signal"), model.signals);
}

function fill(select, names) {
  const told = names.join("\n");
  if (select.dataset.told !== told) {
    const chosen = select.value;
    select.dataset.told = told;
    select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    if (names.includes(chosen)) select.value = chosen;
  }
  select.parentElement.hidden = names.length < 2;
}

async function drawCurves() {
  if (seen === null || document.hidden) return;
  const asked = new URLSearchParams();
  for (const id of ["model", "feature", "signal"]) asked.set(id, $(id).value);
  let told;
  try {
    const answer = await fetch(`api/curves?${asked}`);
    if (!answer.ok) return;
    told = await answer.json();
  } catch {
    return; // the stream says that nobody is there
  }
  const names = seen.resources.map((r) => r.name);
  const colours = (name) => palette(Math.max(0, names.indexOf(name)));
  const place = $("curves");
  place.replaceChildren(curvesPlot(told, colours, Math.max(300, Math.round(place.clientWidth))));
  $("legend").replaceChildren(...told.resources.map((r) =>
    h("span", {}, key(colours(r.name)), r.name, h("span", { class: "soft" }, r.source === "data" ? "" : ` (${r.source})`))));
}

$("choice").addEventListener("change", () => { offerChoice(seen.models); draw(seen); drawCurves(); });
$("choice").addEventListener("submit", (event) => event.preventDefault());
$("pause").addEventListener("click", pause);
$("filter").addEventListener("change", show);
connect();
setInterval(watch, 500);
setInterval(drawCurves, CURVES_MS);
setTimeout(drawCurves, 300);
