// The page: reads the data, and binds the plot, the panel and the controls.
"use strict";

(async () => {
  const $ = (id) => document.getElementById(id);
  const about = JSON.parse($("about").textContent);
  const arrays = await unpack($("data").textContent, about.index);
  $("data").remove();
  const keys = arrays.cells, numCells = keys.length, maxVertices = MAX_VERTICES[about.space];
  const metrics = Object.fromEntries(about.metrics.map((metric) => [metric.name, metric]));
  const accuracies = about.metrics.filter((m) => m.accuracy), costs = about.metrics.filter((m) => !m.accuracy);
  let scatter;
  try {
    scatter = new Scatter($("cells"));
  } catch (error) {
    $("status").textContent = "This page needs WebGL, which this browser does not offer.";
    throw error;
  }

  // --- values -------------------------------------------------------------------------------------------------------

  function value(name, row) {
    const code = arrays[name][row], { low, high, log } = metrics[name];
    if (name === "trainable_parameters") return code;
    if (code === 65535) return NaN;
    return log ? low * (high / low) ** (code / 65534) : low + ((high - low) * code) / 65534;
  }
  const significant = (v, digits) => (Number.isNaN(v) ? "–" : Number(v.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits }));
  function text(name, v) {
    const metric = metrics[name];
    if (Number.isNaN(v)) return "–";
    if (metric.accuracy) return v.toFixed(4);
    return (name === "trainable_parameters" ? v.toLocaleString("en") : significant(v, 4)) + (metric.unit ? ` ${metric.unit}` : "");
  }
  const titled = ({ label, unit }) => (unit ? `${label} (${unit})` : label);
  const originOf = (name, row) => {
    const origin = arrays[`origin ${name}`];
    return origin ? about.provenances[origin[row]] : name === "trainable_parameters" ? "exact" : about.provenance;
  };
  const mixed = Object.keys(arrays).some((name) => name.startsWith("origin "));

  // What cells are like, from their keys.
  const bitCount = (n) => { let c = 0; for (; n; n &= n - 1) c++; return c; };
  const traits = { vertices: new Uint8Array(numCells), edges: new Uint8Array(numCells) };
  for (const name of OPERATIONS) traits[name] = new Uint8Array(numCells);
  const opCounts = [...Array(243).keys()].map((code) => [0, 1, 2, 3, 4, 5].map((inner) => {
    const counts = [0, 0, 0];
    for (let v = 0; v < inner; v++) counts[Math.floor(code / OP_WEIGHTS[v]) % 3]++;
    return counts;
  }));
  for (let row = 0; row < numCells; row++) {
    const key = keys[row], numVertices = key >>> 29, counts = opCounts[key & 255][numVertices - 2];
    traits.vertices[row] = numVertices;
    traits.edges[row] = bitCount((key >>> 8) & 0x1fffff);
    for (let op = 0; op < 3; op++) traits[OPERATIONS[op]][row] = counts[op];
  }
  const traitRange = { vertices: [2, maxVertices], edges: [1, maxVertices === 4 ? 6 : 9] };
  for (const name of OPERATIONS) traitRange[name] = [0, maxVertices - 2];
  /** 0 where both shown metrics were measured, 1 where the weaker of them was not. */
  function notMeasured() {
    const x = arrays[`origin ${$("x").value}`], y = arrays[`origin ${$("y").value}`];
    return Uint8Array.from({ length: numCells }, (_, row) => Number((x?.[row] ?? 0) + (y?.[row] ?? 0) > 0));
  }

  // --- controls -----------------------------------------------------------------------------------------------------

  const option = (value, label) => Object.assign(document.createElement("option"), { value, textContent: label });
  $("y").append(...accuracies.map((m) => option(m.name, titled(m))));
  $("x").append(...costs.map((m) => option(m.name, titled(m))));
  $("x").value = metrics.energy ? "energy" : costs[0].name;
  $("colour").append(option("vertices", "vertices"), option("edges", "edges"), ...OPERATIONS.map((name) => option(name, `number of ${name}`)),
    ...about.metrics.map((m) => option(m.name, titled(m))));
  if (mixed) $("colour").append(option("origin", "measured or not"));
  $("colour").value = mixed ? "origin" : "vertices";

  const bounds = {};
  for (const [name, [least, most]] of Object.entries(traitRange)) {
    const field = document.createElement("span");
    const [from, to] = [least, most].map((value, end) => Object.assign(document.createElement("input"),
      { type: "number", min: least, max: most, value, ariaLabel: `${end ? "most" : "fewest"} ${name}`, id: `${end ? "most" : "least"}-${name}` }));
    field.append(`${name} `, from, " to ", to);
    $("ranges").append(field);
    bounds[name] = [from, to];
    for (const input of [from, to]) input.addEventListener("change", () => { place(); draw(); });
  }
  let measuredOnly = null;
  if (mixed) {
    const label = document.createElement("label");
    measuredOnly = Object.assign(document.createElement("input"), { type: "checkbox", id: "measured" });
    label.append(measuredOnly, " measured cells only");
    $("ranges").append(label);
    measuredOnly.addEventListener("change", () => { place(); draw(); });
  }
  const reset = Object.assign(document.createElement("button"), { textContent: "reset", type: "button" });
  reset.addEventListener("click", () => {
    for (const [name, [from, to]] of Object.entries(bounds)) [from.value, to.value] = traitRange[name];
    if (measuredOnly) measuredOnly.checked = false;
    place(); draw();
  });
  $("ranges").append(reset);

  // Runs: a method looks as in all other charts; black becomes white in dark mode.
  const runs = [];
  let start = 0;
  for (const run of about.runs) {
    runs.push({ ...run, rows: arrays["run rows"].subarray(start, start + run.evaluations), choices: arrays["run choices"].subarray(start, start + run.evaluations) });
    start += run.evaluations;
  }
  const methods = about.methods.map((method) => ({ ...method, on: true }));
  if (runs.length) {
    $("runs").hidden = false;
    for (const method of methods) {
      const label = document.createElement("label"), box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      const mark = Object.assign(document.createElement("span"), { textContent: " ● " });
      mark.style.color = method.colour === "#000000" ? "var(--choice)" : method.colour;
      box.addEventListener("change", () => { method.on = box.checked; draw(); });
      label.append(box, mark, `${method.name} (${runs.filter((run) => run.name === method.name).length})`);
      $("methods").append(label);
    }
    const most = Math.max(...runs.map((run) => run.evaluations));
    Object.assign($("upto"), { max: most, value: most });
    $("upto").addEventListener("input", () => { $("shown").textContent = $("upto").value; draw(); });
    $("shown").textContent = most;
  }

  // --- the plot -----------------------------------------------------------------------------------------------------

  const overlay = $("overlay"), context = overlay.getContext("2d");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"].map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  function makeRamp() {
    const [from, to] = dark.matches ? [0.2, 1] : [0, 0.86], ramp = new Uint8Array(768); // neither end fades into the ground
    for (let i = 0; i < 256; i++) {
      const at = (from + ((to - from) * Math.min(i, 254)) / 254) * 8, k = Math.min(7, Math.floor(at));
      for (let c = 0; c < 3; c++) ramp[3 * i + c] = VIRIDIS[k][c] + (at - k) * (VIRIDIS[k + 1][c] - VIRIDIS[k][c]);
    }
    return ramp;
  }

  let scales, unitX, unitY, frontRows, selected = -1, hovered = -1, pointedAt = -1, near = [], nearAt = -1;

  function units(scale, name) {
    if (name === "trainable_parameters") return Float32Array.from(arrays[name], (v) => scale.toUnit(v));
    const { low, high, log } = metrics[name];
    const table = new Float32Array(65536);
    for (let code = 0; code < 65535; code++) table[code] = scale.toUnit(log ? low * (high / low) ** (code / 65534) : low + ((high - low) * code) / 65534);
    table[65535] = NaN;
    return Float32Array.from(arrays[name], (code) => table[code]);
  }

  function chooseAxes() {
    scales = { x: new Scale(metrics[$("x").value]), y: new Scale(metrics[$("y").value]) };
    unitX = units(scales.x, $("x").value);
    unitY = units(scales.y, $("y").value);
    frontRows = arrays[`front ${$("y").value} ${$("x").value}`].slice().sort((a, b) => unitX[a] - unitX[b] || unitY[a] - unitY[b]);
    place();
  }

  function place() {
    const mask = new Uint8Array(numCells).fill(1);
    for (const [name, [from, to]] of Object.entries(bounds)) {
      const least = from.valueAsNumber, most = to.valueAsNumber, values = traits[name];
      if (least <= traitRange[name][0] && most >= traitRange[name][1]) continue;
      for (let row = 0; row < numCells; row++) if (values[row] < least || values[row] > most) mask[row] = 0;
    }
    const weak = mixed ? notMeasured() : new Uint8Array(numCells);
    if (measuredOnly?.checked) for (let row = 0; row < numCells; row++) if (weak[row]) mask[row] = 0;
    scatter.setPoints(unitX, unitY, mask);
    colour(weak);
  }

  function colour(weak = mixed ? notMeasured() : new Uint8Array(numCells)) {
    const name = $("colour").value, ramp = makeRamp(), shades = new Uint8Array(numCells);
    let ends;
    if (name === "origin") {
      for (let row = 0; row < numCells; row++) shades[row] = weak[row] ? 200 : 0;
      ends = ["measured", "filled in or computed"];
    } else if (traits[name]) {
      const [least, most] = traitRange[name], values = traits[name];
      for (let row = 0; row < numCells; row++) shades[row] = Math.round(((values[row] - least) / (most - least)) * 254);
      ends = [least, most];
    } else {
      const places = units(new Scale(metrics[name]), name);
      for (let row = 0; row < numCells; row++) shades[row] = Number.isNaN(places[row]) ? 255 : Math.round(Math.min(1, Math.max(0, places[row])) * 254);
      ends = [text(name, metrics[name].low), text(name, metrics[name].high)];
    }
    scatter.setColours(shades, weak, ramp, dark.matches ? [110, 116, 122] : [150, 156, 162], colours.clear);
    [$("least").textContent, $("greatest").textContent] = ends;
    const pixels = $("ramp").getContext("2d"), image = pixels.createImageData(120, 1);
    for (let i = 0; i < 120; i++) image.data.set([...ramp.subarray(3 * Math.round((i / 119) * 254)).slice(0, 3), 255], 4 * i);
    pixels.putImageData(image, 0, 0);
  }

  function resize() {
    const { width, height } = overlay.getBoundingClientRect();
    for (const canvas of [overlay, $("cells")]) Object.assign(canvas, { width: Math.round(width * devicePixelRatio), height: Math.round(height * devicePixelRatio) });
    Object.assign(scatter, { width, height });
  }

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let colours;
  function readColours() {
    const hex = css("--ground"), long = hex.length === 4 ? hex.replace(/[0-9a-f]/g, "$&$&") : hex;
    colours = { ink: css("--ink"), faint: css("--faint"), line: css("--line"), front: css("--front"), choice: css("--choice"), ground: hex,
      clear: [1, 3, 5].map((i) => parseInt(long.slice(i, i + 2), 16) / 255).concat(1) };
  }

  let waiting = false, frames = 0;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; frames++; scatter.draw(draw); drawOverlay(); });
  }

  const screen = (row) => scatter.toScreen(unitX[row], unitY[row]);
  function path(rows, stepped) {
    context.beginPath();
    let before = null;
    for (const row of rows) {
      const [x, y] = screen(row);
      if (Number.isNaN(x + y)) continue;
      if (before === null) context.moveTo(x, y);
      else { if (stepped) context.lineTo(x, before); context.lineTo(x, y); }
      before = y;
    }
    context.stroke();
  }
  function ring(row, radius, stroke, width) {
    const [x, y] = screen(row);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: stroke, lineWidth: width });
    context.stroke();
  }

  function drawOverlay() {
    const { width, height, view } = scatter;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    Object.assign(context, { lineWidth: 1, strokeStyle: colours.line, textAlign: "center", textBaseline: "bottom", lineJoin: "round" });
    const label = (words, x, y) => { // legible on whatever lies below
      Object.assign(context, { strokeStyle: colours.ground, lineWidth: 3, fillStyle: colours.faint });
      context.strokeText(words, x, y);
      context.fillText(words, x, y);
    };
    const lines = [
      ...scales.x.ticks(view.left, view.left + view.size, width, 62).map(({ unit, text }) => [((unit - view.left) / view.size) * width, null, text]),
      ...scales.y.ticks(view.bottom, view.bottom + view.size, height, 24).map(({ unit, text }) => [null, (1 - (unit - view.bottom) / view.size) * height, text]),
    ];
    context.globalAlpha = 0.6;
    for (const [x, y] of lines) {
      context.beginPath();
      if (y === null) { context.moveTo(x, 0); context.lineTo(x, height); } else { context.moveTo(0, y); context.lineTo(width, y); }
      context.stroke();
    }
    context.globalAlpha = 1;
    if ($("front").checked) {
      Object.assign(context, { strokeStyle: colours.front, lineWidth: 1.8, fillStyle: colours.front });
      path(frontRows, true);
      for (const row of frontRows) {
        const [x, y] = screen(row);
        if (x > -5 && x < width + 5 && y > -5 && y < height + 5) { context.beginPath(); context.arc(x, y, 2.6, 0, 7); context.fill(); }
      }
    }
    const upto = Number($("upto").value);
    for (const run of runs) {
      const method = methods.find(({ name }) => name === run.name);
      if (!method.on) continue;
      const colour = method.colour === "#000000" ? colours.choice : method.colour;
      Object.assign(context, { fillStyle: colour, globalAlpha: 0.6 });
      for (const row of run.rows.subarray(0, upto)) { const [x, y] = screen(row); context.fillRect(x - 1.5, y - 1.5, 3, 3); }
      context.globalAlpha = 1;
      const choices = run.choices.subarray(0, upto).filter((row, i, all) => row >= 0 && row !== all[i - 1]);
      Object.assign(context, { strokeStyle: colours.ground, lineWidth: 4 });
      path(choices, false);
      Object.assign(context, { strokeStyle: colour, lineWidth: 2 });
      context.setLineDash(method.dash);
      path(choices, false);
      context.setLineDash([]);
      if (choices.length) { const [x, y] = screen(choices[choices.length - 1]); context.beginPath(); context.arc(x, y, 4.5, 0, 7); context.fill(); }
    }
    const shown = hovered >= 0 ? hovered : selected;
    if (shown >= 0 && nearAt === shown) {
      const [x0, y0] = screen(shown);
      Object.assign(context, { strokeStyle: colours.choice, lineWidth: 0.7, globalAlpha: 0.45 });
      context.beginPath();
      for (const row of near) { const [x, y] = screen(row); context.moveTo(x0, y0); context.lineTo(x, y); }
      context.stroke();
      context.globalAlpha = 1;
      for (const row of near) ring(row, 3.5, colours.choice, 1);
    }
    if (selected >= 0) ring(selected, 8, colours.choice, 2.2);
    if (pointedAt >= 0) ring(pointedAt, 6, colours.choice, 2.2); // in the list of neighbours
    if (hovered >= 0) ring(hovered, 6, colours.choice, 1.4);
    for (const [x, y, words] of lines) {
      if (y === null) { context.textAlign = "center"; if (x > 50 && x < width - 20) label(words, x, height - 4); }
      else { context.textAlign = "left"; context.textBaseline = "middle"; if (y > 24 && y < height - 24) label(words, 4, y); context.textBaseline = "bottom"; }
    }
    context.textAlign = "right";
    label(`${titled(metrics[$("x").value])} →`, width - 6, height - 22);
    context.textAlign = "left";
    label(`↑ ${titled(metrics[$("y").value])}`, 4, 18);
    const count = scatter.order.length;
    $("status").textContent = `${count.toLocaleString("en")} cells${count < numCells ? ` of ${numCells.toLocaleString("en")}` : ""}; ${scatter.mode === "density" ? "density; zoom in for single cells" : "single cells"}`;
  }

  // --- the panel ----------------------------------------------------------------------------------------------------

  function show(row) {
    $("cell").hidden = row < 0;
    $("hint").hidden = row >= 0;
    if (row < 0) { nearAt = -1; return; }
    if (nearAt === row) return;
    near = neighboursOf(keys, row, maxVertices);
    nearAt = row;
    const cell = decodeCell(keys[row]);
    $("name").textContent = `Cell ${row.toLocaleString("en")}: ${cell.numVertices} vertices, ${cell.edges.length} edges`;
    $("drawing").replaceChildren(drawCell(cell));
    const cellOf = (words, tag = "td") => Object.assign(document.createElement(tag), { textContent: words });
    $("metrics").replaceChildren(...about.metrics.map((metric) => {
      const line = document.createElement("tr"), origin = cellOf("");
      origin.append(Object.assign(document.createElement("small"), { textContent: Number.isNaN(value(metric.name, row)) ? "" : originOf(metric.name, row) }));
      line.append(cellOf(metric.label), cellOf(text(metric.name, value(metric.name, row))), origin);
      return line;
    }));
    $("snippet").value = `ecnas.Space("${about.space}")[${row}]`;
    const [x, y] = [metrics[$("x").value], metrics[$("y").value]];
    $("count").textContent = `${near.length} neighbours, one edit away`;
    const head = document.createElement("tr");
    head.append(...["cell", "Δ accuracy", `× ${x.label.replace("training ", "")}`].map((words) => cellOf(words, "th")));
    $("neighbours").tHead.replaceChildren(head);
    const gain = (other) => value(y.name, other) - value(y.name, row);
    const ratio = (v) => (Number.isNaN(v) ? "–" : v < 10 ? v.toFixed(2) : v.toFixed(0));
    const rest = (v) => (Number.isNaN(v) ? Infinity : -v);
    near.sort((a, b) => rest(gain(a)) - rest(gain(b)) || a - b);
    $("neighbours").tBodies[0].replaceChildren(...near.map((other) => {
      const line = document.createElement("tr"), button = cellOf(other.toLocaleString("en"), "button"), first = cellOf("");
      first.append(button);
      const change = gain(other);
      line.append(first, cellOf(Number.isNaN(change) ? "–" : `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(4)}`), cellOf(ratio(value(x.name, other) / value(x.name, row))));
      line.addEventListener("click", () => select(other));
      line.addEventListener("pointerenter", () => { pointedAt = other; draw(); });
      line.addEventListener("pointerleave", () => { pointedAt = -1; draw(); });
      return line;
    }));
  }
  function select(row) {
    selected = row;
    hovered = pointedAt = -1;
    show(row);
    if (row >= 0) {
      const [x, y] = screen(row);
      if (x < 0 || y < 0 || x > scatter.width || y > scatter.height) scatter.pan(scatter.width / 2 - x, scatter.height / 2 - y);
    }
    draw();
  }

  function hover(px, py) {
    const row = pick(px, py, 14);
    overlay.style.cursor = row < 0 ? "crosshair" : "pointer";
    if (row === hovered) return;
    hovered = row;
    show(row >= 0 ? row : selected);
    draw();
  }

  /** The cell at a place: of the front before others. */
  function pick(px, py, within) {
    if ($("front").checked) {
      let best = -1, least = 36;
      for (const row of frontRows) { const [x, y] = screen(row), d = (x - px) ** 2 + (y - py) ** 2; if (d < least) { least = d; best = row; } }
      if (best >= 0) return best;
    }
    return scatter.nearest(px, py, within);
  }

  // --- pointer, wheel, keys -----------------------------------------------------------------------------------------

  const down = new Map();
  let moved = 0;
  const at = (event) => { const box = overlay.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  overlay.addEventListener("pointerdown", (event) => { overlay.setPointerCapture(event.pointerId); if (down.size === 0) moved = 0; down.set(event.pointerId, at(event)); });
  overlay.addEventListener("pointermove", (event) => {
    const now = at(event), before = down.get(event.pointerId);
    if (!before) { if (event.pointerType === "mouse") hover(...now); return; }
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (down.size === 2) {
      const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
      scatter.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (moved > 4) scatter.pan(now[0] - before[0], now[1] - before[1]);
    down.set(event.pointerId, now);
    draw();
  });
  const up = (event) => {
    const wasDown = down.delete(event.pointerId);
    if (event.type === "pointerup" && wasDown && down.size === 0 && moved <= 4) select(pick(...at(event), event.pointerType === "mouse" ? 14 : 26));
  };
  overlay.addEventListener("pointerup", up);
  overlay.addEventListener("pointercancel", up);
  overlay.addEventListener("pointerleave", () => { if (hovered >= 0) { hovered = -1; show(selected); draw(); } });
  overlay.addEventListener("wheel", (event) => {
    event.preventDefault();
    scatter.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...at(event));
    draw();
  }, { passive: false });

  const whole = () => { scatter.view = { left: -0.04, bottom: -0.04, size: 1.08 }; };
  const middle = () => [scatter.width / 2, scatter.height / 2];
  function walk(list, step) {
    if (!list.length) return;
    const place = list.indexOf(selected);
    select(list[place < 0 ? (step > 0 ? 0 : list.length - 1) : (place + step + list.length) % list.length]);
  }
  let home = { row: -1, list: [] }; // whose neighbours N walks through
  function nextNeighbour() {
    if (selected < 0) return;
    const place = home.list.indexOf(selected);
    if (place < 0) { show(selected); home = { row: selected, list: near.slice() }; }
    if (home.list.length) select(home.list[(home.list.indexOf(selected) + 1) % home.list.length]);
  }
  const ACTIONS = {
    ArrowLeft: () => scatter.pan(60, 0), ArrowRight: () => scatter.pan(-60, 0), ArrowUp: () => scatter.pan(0, 60), ArrowDown: () => scatter.pan(0, -60),
    "+": () => scatter.zoom(1.4, ...middle()), "=": () => scatter.zoom(1.4, ...middle()), "-": () => scatter.zoom(1 / 1.4, ...middle()), 0: whole,
    "[": () => walk(frontRows, -1), "]": () => walk(frontRows, 1), n: nextNeighbour, N: nextNeighbour, Escape: () => select(-1),
  };
  overlay.addEventListener("keydown", (event) => {
    if (!Object.hasOwn(ACTIONS, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    ACTIONS[event.key]();
    draw();
  });
  for (const [id, key] of [["closer", "+"], ["further", "-"], ["all", "0"]]) $(id).addEventListener("click", () => { ACTIONS[key](); draw(); });
  for (const id of ["x", "y"]) $(id).addEventListener("change", () => { chooseAxes(); nearAt = -1; show(selected); draw(); });
  $("colour").addEventListener("change", () => { colour(); draw(); });
  $("front").addEventListener("change", draw);
  dark.addEventListener("change", () => { readColours(); colour(); draw(); });
  new ResizeObserver(() => { resize(); draw(); }).observe(overlay);

  const sources = mixed ? "several; rings were not measured" : about.provenance;
  $("summary").textContent = `${numCells.toLocaleString("en")} cells of ${about.space} after ${about.epochs} epochs of training; provenance: ${sources}.`;
  readColours();
  resize();
  chooseAxes();
  whole();
  draw();
  /** For scripts and tests. */
  window.explorer = { scatter, draw, select, value, screen, neighbours: (row) => neighboursOf(keys, row, maxVertices), get selected() { return selected; }, get frames() { return frames; }, get front() { return [...frontRows]; } };
})();

/** The arrays of ecnas.explorer.packing.pack. */
async function unpack(base64, index) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const content = new Uint8Array(await new Response(stream).arrayBuffer());
  const kinds = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array };
  const arrays = {};
  let start = 0;
  for (const [name, [kind, length, ascending]] of Object.entries(index)) {
    const array = new kinds[kind](length), size = array.BYTES_PER_ELEMENT;
    for (let plane = 0; plane < size; plane++) {
      const from = start + plane * length;
      for (let i = 0; i < length; i++) array[i] |= content[from + i] << (8 * plane);
    }
    if (ascending) for (let i = 1; i < length; i++) array[i] += array[i - 1];
    arrays[name] = array;
    start += size * length;
  }
  return arrays;
}
