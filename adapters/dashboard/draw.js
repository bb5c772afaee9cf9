// Numbers as people read them, and drawings. Nothing here knows where the numbers come from.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children (texts or elements; null is left out). Texts stay texts, whatever they hold.
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3) return `${digits(value * 1e6)} µs`;
  if (size < 1) return `${digits(value * 1e3)} ms`;
  if (size < 1e3) return `${digits(value)} s`;
  return `${Math.round(value / 60).toLocaleString("en")} min`;
}

// Three digits that matter, and no more of a number that is larger.
function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

export function share(value, places = 1) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(places)}%`;
}

export function count(value) {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
}

export function rate(perSecond) {
  return perSecond >= 99.5 ? count(perSecond) : perSecond.toFixed(perSecond >= 9.95 ? 0 : 1);
}

export function bar(value) {
  const inner = h("b");
  inner.style.width = `${Math.max(0, Math.min(1, value ?? 0)) * 100}%`;
  return h("div", { class: "bar" }, h("i", { "aria-hidden": "true" }, inner), h("span", {}, value > 0 && value < 0.005 ? "<1%" : share(value, 0)));
}

// Attainment over the last minute, each point over five seconds; offered jobs as bars behind it; the target dashed.
export function sparkline(bySecond, target, label) {
  const [width, height, pad] = [240, 44, 3];
  const x = (i) => (width * i) / (bySecond.length - 1);
  const points = bySecond.map((_, i) => {
    const near = bySecond.slice(Math.max(0, i - 4), i + 1);
    const known = near.reduce((sum, row) => sum + row[2], 0);
    return known ? near.reduce((sum, row) => sum + row[3], 0) / known : null;
  });
  const least = Math.min(target, ...points.filter((p) => p !== null));
  const low = Math.max(0, least - 0.1 * (1 - least) - 0.02);
  const y = (p) => pad + (height - 2 * pad) * (1 - (p - low) / (1 - low));
  const most = Math.max(1, ...bySecond.map((row) => row[0]));
  const bars = bySecond.map((row, i) => {
    const tall = (0.8 * height * row[0]) / most;
    return row[0] ? s("rect", { class: "load", x: x(i) - 1.6, y: height - tall, width: 3.2, height: tall }) : null;
  });
  return s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    bars,
    s("line", { class: "target", x1: 0, x2: width, y1: y(target), y2: y(target) }),
    s("path", { class: "spark", d: path(points.map((p, i) => (p === null ? null : [x(i), y(p)]))) }));
}

// A gap where a point is null.
function path(points) {
  let drawn = "", pen = false;
  for (const point of points) {
    if (point !== null) drawn += `${pen ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
    pen = point !== null;
  }
  return drawn;
}

export function key(colour) {
  return s("svg", { viewBox: "0 0 24 10", "aria-hidden": "true" },
    s("path", { class: "line", d: "M0 5H24", stroke: colour }));
}

// told: as /api/curves answers; colours by resource. Both axes logarithmic.
export function curvesPlot(told, colours, width) {
  const height = 260, box = { left: 58, right: 12, top: 10, bottom: 34 };
  const values = told.resources.flatMap((r) => [...r.median_s, ...r.p90_s]).filter((v) => v > 0);
  if (!values.length) return h("p", { class: "note" }, "Nothing is believed yet.");
  const grid = told.grid.length ? told.grid : [1, 2];
  const spread = told.grid.length ? (ys) => ys : (ys) => [ys[0], ys[0]];
  const shift = grid[0] > 0 ? 0 : 1; // features that may be 0
  const x = scale(grid[0] + shift, grid.at(-1) + shift, box.left, width - box.right);
  const y = scale(Math.min(...values) / 1.15, Math.max(...values) * 1.15, height - box.bottom, box.top);
  const marks = [];
  for (const tick of ticks(...y.range)) {
    marks.push(s("path", { class: "axis", d: `M${box.left} ${y(tick)}H${width - box.right}` }),
      s("text", { x: box.left - 8, y: y(tick) + 4, "text-anchor": "end" }, brief(tick)));
  }
  if (told.grid.length) {
    for (const tick of ticks(...x.range)) {
      marks.push(s("text", { x: x(tick), y: height - box.bottom + 16, "text-anchor": "middle" }, compact(tick - shift)));
    }
    marks.push(s("text", { x: (box.left + width - box.right) / 2, y: height - 3, "text-anchor": "middle" }, told.feature));
  }
  const lines = told.resources.flatMap((r) => {
    const along = (ys) => path(spread(ys).map((v, i) => [x(grid[i] + shift), y(v)]));
    const stroke = colours(r.name);
    return [s("path", { class: "line", stroke, d: along(r.median_s) }, s("title", {}, `${r.name}, median`)),
      s("path", { class: "line tail", stroke, d: along(r.p90_s) }, s("title", {}, `${r.name}, 90% quantile`))];
  });
  const label = `${told.signal} of ${told.model} by ${told.feature ?? "resource"}: ` + told.resources
    .map((r) => `${r.name} from ${seconds(r.median_s[0])} to ${seconds(r.median_s.at(-1))}`).join(", ");
  return s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, marks, lines);
}

function scale(from, to, start, end) {
  const [a, b] = [Math.log(from), Math.log(to)];
  const at = (value) => start + ((Math.log(value) - a) / (b - a || 1)) * (end - start);
  at.range = [from, to];
  return at;
}

// Decades, and 2 and 5 between where there are few of them.
function ticks(from, to) {
  const all = [];
  const decades = Math.log10(to / from);
  const steps = decades > 3 ? [1] : decades > 1.5 ? [1, 3] : decades > 0.5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power += 1) {
    for (const step of steps) all.push(step * 10 ** power);
  }
  return all.filter((tick) => tick >= from && tick <= to);
}

function brief(value) {
  return value < 1e-3 ? `${+(value * 1e6).toPrecision(2)} µs` : value < 1 ? `${+(value * 1e3).toPrecision(2)} ms` : `${compact(value)} s`;
}

function compact(value) {
  return value >= 1e4 ? `${+(value / 1e3).toPrecision(3)}k` : `${+value.toPrecision(3)}`;
}
