"use strict";
// Draws the charts as SVG from the page's data and moves through the sample grids.
const data = JSON.parse(document.getElementById("data").textContent);
const W = 360, H = 190, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 20;
const drawn = [];

function node(name, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function html(name, className, parent, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function say(value, chart) {
  if (value === null || value === undefined) return "–";
  if (chart.percent) return (100 * value).toFixed(1) + "%";
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("-", "−");
  return Number(value.toPrecision(4)).toLocaleString("en-US", {maximumFractionDigits: 6}).replace("-", "−");
}

// A value at the y axis: short.
function mark(value, chart) {
  const size = Math.abs(value);
  if (chart.percent) return Number((100 * value).toPrecision(3)) + "%";
  if (size && (size < 1e-3 || size >= 1e5)) return Number(value.toPrecision(2)).toExponential().replace("-", "−").replace("e+", "e");
  return Number(value.toPrecision(3)).toLocaleString("en-US", {maximumFractionDigits: 6}).replace("-", "−");
}

function quantile(sorted, share) { return sorted[Math.round(share * (sorted.length - 1))]; }

// Limits of the y axis: nearly all values, so that one spike does not flatten a run.
function range(chart) {
  let values = chart.series.flatMap(s => [...s.y, ...(s.lo || []), ...(s.hi || [])])
    .filter(v => v !== null && (!chart.log || v > 0)).sort((a, b) => a - b);
  if (!values.length) return [chart.log ? 0.1 : 0, 1];
  const share = values.length > 50 ? 0.002 : 0;
  let low = quantile(values, share), high = quantile(values, 1 - (chart.clip ? 0.03 : share));
  if (chart.show) { low = Math.min(low, chart.show[0]); high = Math.max(high, chart.show[1]); }
  if (chart.log) return [low / 1.3, high * 1.3];
  if (chart.zero) low = Math.min(0, low);
  const room = (high - low || Math.abs(high) || 1) * 0.07;
  return [low < 0 || !chart.zero ? low - room : low, high + room];
}

function ticks(low, high, chart) {
  if (chart.log) {
    const a = Math.ceil(Math.log10(low)), b = Math.floor(Math.log10(high));
    const step = Math.max(1, Math.ceil((b - a) / 4)), found = [];
    for (let e = a; e <= b; e += step) found.push(10 ** e);
    return found.length > 1 ? found : [low * 1.35, Math.sqrt(low * high), high / 1.35];
  }
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(m => m * power).find(s => s >= rough * 0.999);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return found;
}

function draw(chart, last) {
  const box = html("div", "chart", document.getElementById("charts"));
  const title = html("h3", "", box, chart.title);
  html("small", "", title, chart.unit);
  const values = html("div", "values", box);
  const svg = node("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", tabindex: 0, "aria-label": chart.title}, box);
  const [low, high] = range(chart);
  const scale = chart.log ? Math.log10 : v => v;
  const x = e => LEFT + (W - LEFT - RIGHT) * e / Math.max(1, last);
  const y = v => {
    const share = (scale(v) - scale(low)) / (scale(high) - scale(low));
    return TOP + (H - TOP - BOTTOM) * (1 - Math.min(1, Math.max(0, share)));
  };
  for (const t of ticks(low, high, chart)) {
    node("line", {class: "rule", x1: LEFT, x2: W - RIGHT, y1: y(t), y2: y(t)}, svg);
    node("text", {x: LEFT - 5, y: y(t) + 3.5, "text-anchor": "end"}, svg, mark(t, chart));
  }
  const round = 10 ** Math.floor(Math.log10(Math.max(1, last / 2)));
  const step = Math.max(1, Math.round(last / 4 / round * 2) / 2 * round || round);
  for (let e = 0; e <= last + 1; e += step) {
    const anchor = x(e) > W - 25 ? "end" : "middle";
    node("text", {x: x(e), y: H - 5, "text-anchor": anchor}, svg, e.toLocaleString("en-US"));
  }
  decorate(svg, chart, low, high, x, y, last);
  for (const series of chart.series) curve(svg, series, series.x || data.charts.x, x, y, chart.log);
  const cursor = node("line", {class: "cursor", y1: TOP, y2: H - BOTTOM, visibility: "hidden"}, svg);
  drawn.push({chart, values, cursor, x});
  listen(svg, last);
}

// Whether a name at this height is clearer of the curves at the left end than at the right.
function leftIsClearer(chart, height, x, y, last) {
  const clear = [Infinity, Infinity];
  for (const series of chart.series) (series.x || data.charts.x).forEach((e, i) => {
    const side = e < last * 0.45 ? 0 : e > last * 0.55 ? 1 : -1;
    if (side >= 0 && series.y[i] !== null) clear[side] = Math.min(clear[side], Math.abs(y(series.y[i]) - height));
  });
  return clear[0] > clear[1];
}

function name(svg, words, height, left, colour) {
  const place = left ? {x: LEFT + 3, "text-anchor": "start"} : {x: W - RIGHT - 3, "text-anchor": "end"};
  node("text", {class: "named", y: height, style: `fill: var(--${colour})`, ...place}, svg, words);
}

function decorate(svg, chart, low, high, x, y, last) {
  if (chart.band) {
    const [from, to, words] = chart.band, top = y(Math.min(to, high)), bottom = y(Math.max(from, low));
    if (bottom > top) {
      node("rect", {x: LEFT, width: W - LEFT - RIGHT, y: top, height: bottom - top, fill: "var(--good)", opacity: .12}, svg);
      name(svg, words, top + 10, leftIsClearer(chart, top + 7, x, y, last), "good");
    }
  }
  for (const [value, words, colour] of chart.limits || []) {
    if (value < low || value > high) continue;
    node("line", {class: "limit", x1: LEFT, x2: W - RIGHT, y1: y(value), y2: y(value), stroke: `var(--${colour})`}, svg);
    name(svg, words, y(value) - 3, leftIsClearer(chart, y(value) - 6, x, y, last), colour);
  }
}

function curve(svg, series, epochs, x, y, log) {
  const ok = v => v !== null && (!log || v > 0);
  const colour = `var(--${series.colour})`;
  if (series.lo) {
    const known = epochs.map((_, i) => i).filter(i => ok(series.lo[i]) && ok(series.hi[i]));
    const point = (i, values) => `${x(epochs[i]).toFixed(1)},${y(values[i]).toFixed(1)}`;
    const area = known.map(i => point(i, series.hi)).concat(known.reverse().map(i => point(i, series.lo)));
    node("polygon", {points: area.join(" "), fill: colour, opacity: .22}, svg);
  }
  let path = "", pen = false;
  epochs.forEach((e, i) => {
    if (ok(series.y[i])) { path += `${pen ? "L" : "M"}${x(e).toFixed(1)} ${y(series.y[i]).toFixed(1)}`; pen = true; } else pen = false;
  });
  node("path", {d: path, fill: "none", stroke: colour, "stroke-width": 1.5, "stroke-linejoin": "round"}, svg);
  if (epochs.length <= 60) epochs.forEach((e, i) => {
    if (ok(series.y[i])) node("circle", {cx: x(e), cy: y(series.y[i]), r: 2.2, fill: colour}, svg);
  });
}

function nearest(epochs, epoch) {
  let low = 0, high = epochs.length - 1;
  while (low < high) { const mid = (low + high) >> 1; if (epochs[mid] < epoch) low = mid + 1; else high = mid; }
  return low && epoch - epochs[low - 1] < epochs[low] - epoch ? low - 1 : low;
}

// Shows the values at one epoch in all charts; null: the last ones.
let current = null;
function read(epoch) {
  current = epoch;
  const xs = data.charts.x, at = epoch === null ? xs[xs.length - 1] : xs[nearest(xs, epoch)];
  for (const {chart, values, cursor, x} of drawn) {
    values.replaceChildren();
    for (const series of chart.series) {
      const epochs = series.x || xs, i = nearest(epochs, at);
      const entry = html("span", "", values);
      html("i", "", entry).style.background = `var(--${series.colour})`;
      const name = chart.series.length > 1 ? series.name + " " : "";
      const spread = series.lo && epoch !== null ? ` (${say(series.lo[i], chart)} to ${say(series.hi[i], chart)})` : "";
      entry.append(name + say(epoch === null ? series.last : series.y[i], chart) + (chart.series.length > 1 ? "" : spread));
    }
    const where = html("span", "", values, `at ${at.toLocaleString("en-US")}`);
    where.style.color = "var(--quiet)";
    cursor.setAttribute("visibility", epoch === null ? "hidden" : "visible");
    cursor.setAttribute("x1", x(at)); cursor.setAttribute("x2", x(at));
  }
}

function listen(svg, last) {
  svg.addEventListener("pointermove", event => {
    const area = svg.getBoundingClientRect();
    const place = (event.clientX - area.left) / area.width * W;
    read(Math.max(0, Math.min(last, (place - LEFT) / (W - LEFT - RIGHT) * last)));
  });
  svg.addEventListener("pointerleave", () => read(null));
  svg.addEventListener("keydown", event => {
    const xs = data.charts.x, way = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!way) return;
    event.preventDefault();
    const i = current === null ? xs.length - 1 : nearest(xs, current);
    read(xs[Math.max(0, Math.min(xs.length - 1, i + way))]);
  });
}

function browse(grids) {
  const [slider, image, output, button] = ["slider", "grid", "epoch", "play"].map(id => document.getElementById(id));
  const real = document.getElementById("real");  // null where the run kept no real images
  let timer = null;
  const show = () => {
    const grid = grids[slider.value], words = `after ${grid.epoch.toLocaleString("en-US")} epochs`;
    image.src = grid.src;
    image.alt = "Grid of samples " + words;
    output.textContent = words;
    real?.setAttribute("aria-pressed", false);
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "▶"; button.setAttribute("aria-label", "Play"); };
  slider.addEventListener("input", () => { stop(); show(); });
  real?.addEventListener("click", () => {
    stop();
    if (real.getAttribute("aria-pressed") === "true") return show();
    image.src = data.reals;
    image.alt = "Grid of real images";
    output.textContent = "real images";
    real.setAttribute("aria-pressed", true);
  });
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (+slider.value === grids.length - 1) slider.value = 0;
    show();
    button.textContent = "⏸"; button.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      slider.value = +slider.value + 1;
      show();
      if (+slider.value === grids.length - 1) stop();
    }, 250);
  });
}

const end = data.charts.x[data.charts.x.length - 1];
for (const chart of data.charts.charts) draw(chart, end);
read(null);
if (data.grids.length) browse(data.grids);
