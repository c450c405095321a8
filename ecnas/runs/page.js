"use strict";
// The report page's behaviour: charts whose methods are hidden together, tables that sort and filter.
// What comes from files is only ever put in as text.

const DATA = JSON.parse(document.getElementById("data").textContent);
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const ink = (colour) => (DARK.matches && colour === "#000000" ? "#ffffff" : colour);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Round numbers of the densest of a few schemes that has few enough; every one is labelled in full.
const SCHEMES = [[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];
function logTicks(low, high, most) {
  let ticks = [];
  for (const scheme of SCHEMES) {
    ticks = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade++)
      for (const step of scheme) ticks.push(Number(`${step}e${decade}`));
    ticks = ticks.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
    if (ticks.length <= most) return ticks;
  }
  const every = Math.ceil(ticks.length / most);
  return ticks.filter((_, k) => k % every === 0);
}
const plain = (x) => (x >= 1e6 ? `${x / 1e6}M` : x >= 1e4 ? `${x / 1e3}k` : String(x));

function logAxis(values, most, range) {
  const known = values.filter((value) => value > 0);
  const [low, high] = range || [Math.min(...known) / 1.03, Math.max(...known) * 1.03];
  const ticks = logTicks(low, high, most);
  return { type: "log", range: [Math.log10(low), Math.log10(high)], tickmode: "array", tickvals: ticks, ticktext: ticks.map(plain) };
}

const flat = (lists) => lists.flat().filter((value) => value !== null);
const floorOf = (values) => Math.min(...values.filter((value) => value > 0)) / 2;

class Chart {
  constructor(place, task, kind) {
    Object.assign(this, { task, kind, zoom: {} });
    this.controls = element("div", { className: "controls" });
    this.plot = element("div", { className: "plot" });
    place.append(this.controls, this.plot);
    if (kind === "anytime") {
      this.quantity = this.choice("quantity", task.quantities.map((q) => [q.name, q.heading]));
      this.axis = this.choice("axis", task.currencies.map((c) => [c.name, c.label]));
    }
    if (kind !== "fronts") {
      this.scale = this.choice("scale", [["log", "log"], ["linear", "linear"]]);
    }
    if (kind === "profile") this.scale.value = task.profile.log ? "log" : "linear";
    this.reset();
  }
  choice(label, options) {
    const select = element("select", { ariaLabel: label }, ...options.map(([value, text]) => element("option", { value }, text)));
    select.addEventListener("change", () => (this.reset(), this.draw()));
    this.controls.append(element("label", {}, `${label} `, select));
    return select;
  }
  reset() {
    this.zoom = {};
    if (this.kind === "anytime") {
      const quantity = this.task.quantities.find((q) => q.name === this.quantity.value);
      if (quantity.name !== this.last) this.scale.value = quantity.sign < 0 ? "log" : "linear";
      this.last = quantity.name;
    }
  }
  parts() {
    // Of each kind of chart: what is drawn by method, labels, and which axes are logarithmic.
    const { task } = this;
    if (this.kind === "anytime") {
      const quantity = task.quantities.find((q) => q.name === this.quantity.value);
      const currency = task.currencies.find((c) => c.name === this.axis.value);
      const curves = task.curves[`${quantity.name}|${currency.name}`];
      return { curves, x: currency.label, y: quantity.heading, logX: true, logY: this.scale.value === "log", decimals: quantity.decimals };
    }
    if (this.kind === "profile") {
      return { curves: task.profile.curves, x: task.profile.label, y: "fraction of runs", logX: this.scale.value === "log", logY: false, decimals: 2 };
    }
    return { curves: task.fronts.curves, x: task.fronts.x, y: task.fronts.y, logX: task.fronts.logX, logY: task.fronts.logY, decimals: 4, exact: task.fronts.exact };
  }
  draw() {
    const parts = this.parts();
    const shown = Object.entries(parts.curves).filter(([name]) => !this.task.hidden.has(name));
    const width = this.plot.clientWidth;
    const traces = [];
    const floor = parts.logY ? floorOf(flat(Object.values(parts.curves).map((c) => c.y))) : null;
    const lift = (list) => (floor === null ? list : list.map((v) => (v === null ? null : Math.max(v, floor))));
    if (parts.exact)
      traces.push({ x: parts.exact.x, y: parts.exact.y, name: "exact front", mode: "lines", line: { color: css("--soft"), width: 4, shape: parts.exact.shape }, opacity: 0.6 });
    for (const [name, curve] of shown) {
      const method = this.task.methods.find((m) => m.name === name);
      const colour = ink(method.colour);
      if (curve.low) {
        const low = lift(curve.low), high = lift(curve.high);
        traces.push({
          x: curve.x.concat([...curve.x].reverse()), y: high.concat([...low].reverse()),
          fill: "toself", fillcolor: colour + "26", line: { width: 0, shape: "linear" }, mode: "lines", hoverinfo: "skip",
        });
      }
      traces.push({
        x: curve.x, y: lift(curve.y), name, mode: "lines+markers",
        line: { color: colour, dash: method.dash, width: 2, shape: curve.shape || "linear" },
        marker: { symbol: method.marker, size: 7, color: colour, maxdisplayed: 8 },
        hovertemplate: `%{y:.${parts.decimals}f}<extra></extra>`.replace("<extra></extra>", "<extra>%{fullData.name}</extra>"),
      });
    }
    const grid = { gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), automargin: true, fixedrange: false };
    const exact = parts.exact || { x: [], y: [] };
    const xs = flat([exact.x, ...shown.map(([, c]) => c.x)]), ys = flat([exact.y, ...shown.flatMap(([, c]) => [c.y, c.low || [], c.high || []].map(lift))]);
    const axis = (which, log, values, most, title) => ({
      ...grid, title: { text: title, font: { size: 12 } },
      ...(log && values.length ? logAxis(values, most, this.zoom[which]) : this.zoom[which] ? { range: this.zoom[which] } : {}),
    });
    Plotly.react(this.plot, traces, {
      xaxis: axis("x", parts.logX, xs, Math.max(3, Math.min(9, Math.floor(width / 90))), parts.x),
      yaxis: axis("y", parts.logY, ys, 6, parts.y),
      margin: { l: 60, r: 10, t: 10, b: 45 }, showlegend: false, hovermode: "closest",
      paper_bgcolor: css("--paper"), plot_bgcolor: css("--paper"), font: { color: css("--ink"), size: 12 },
    }, { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] });
    if (!this.listening) {
      this.listening = true;
      this.plot.on("plotly_relayout", (change) => this.zoomed(change));
    }
  }
  zoomed(change) {
    // Ticks of log axes follow the zoom.
    let changed = false;
    for (const which of ["x", "y"]) {
      const low = change[`${which}axis.range[0]`], high = change[`${which}axis.range[1]`];
      const log = this.parts()[which === "x" ? "logX" : "logY"];
      if (low !== undefined) (this.zoom[which] = log ? [10 ** low, 10 ** high] : [low, high]), (changed = true);
      if (change[`${which}axis.autorange`]) delete this.zoom[which], (changed = true);
    }
    if (changed) this.draw();
  }
}

function swatch(method) {
  const place = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(place, "svg");
  svg.setAttribute("width", 34); svg.setAttribute("height", 10);
  const line = document.createElementNS(place, "line");
  const dashes = method.dash === "solid" ? "" : method.dash.replaceAll("px", "");
  for (const [key, value] of Object.entries({ x1: 0, x2: 34, y1: 5, y2: 5, stroke: ink(method.colour), "stroke-width": 2, "stroke-dasharray": dashes })) line.setAttribute(key, value);
  const glyph = document.createElementNS(place, "text");
  for (const [key, value] of Object.entries({ x: 17, y: 9, "text-anchor": "middle", "font-size": 11, fill: ink(method.colour) })) glyph.setAttribute(key, value);
  glyph.textContent = method.glyph;
  svg.append(line, glyph);
  return svg;
}

const charts = [];
const legends = [];
function drawAll() { for (const draw of legends) draw(); for (const chart of charts) chart.draw(); }

for (const task of DATA.tasks) {
  task.hidden = new Set();
  const section = document.getElementById(task.id);
  const own = [...section.querySelectorAll("[data-chart]")].map((place) => new Chart(place, task, place.dataset.chart));
  charts.push(...own);
  const legend = section.querySelector(".legend");
  const redraw = () => { fill(); own.forEach((chart) => chart.draw()); };
  function fill() {
    legend.replaceChildren(
      ...task.methods.map((method) => {
        const button = element("button", { type: "button", title: "click: show or hide; double click: this one alone" }, swatch(method), method.name);
        button.setAttribute("aria-pressed", String(!task.hidden.has(method.name)));
        button.addEventListener("click", () => {
          task.hidden.has(method.name) ? task.hidden.delete(method.name) : task.hidden.add(method.name);
          redraw();
        });
        button.addEventListener("dblclick", () => {
          task.hidden = new Set(task.methods.map((m) => m.name).filter((name) => name !== method.name));
          redraw();
        });
        return button;
      }),
      element("button", { type: "button", onclick: () => { task.hidden.clear(); redraw(); } }, "show all"),
    );
  }
  legends.push(fill);
}
drawAll();
DARK.addEventListener("change", drawAll);

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value ?? "";
      const numeric = head.classList.contains("number");
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (!numeric) return way * x.localeCompare(y, undefined, { numeric: true });
        const [p, q] = [x, y].map((text) => (text === "" || isNaN(parseFloat(text)) ? Infinity : way * parseFloat(text)));
        return p === q ? 0 : p - q;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
  if (body.rows.length > 5) {
    const search = element("input", { type: "search", placeholder: "filter rows", ariaLabel: "filter rows" });
    search.addEventListener("input", () => {
      const text = search.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(text);
    });
    table.closest('.wide').before(search);
  }
}
document.documentElement.dataset.ready = "true";
