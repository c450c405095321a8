// Cells as integers, their neighbours and their drawings: what ecnas.encoding, ecnas.space and ecnas.drawing do in Python.
"use strict";

const OPERATIONS = ["conv3x3", "conv1x1", "maxpool3x3"];
const OP_WEIGHTS = [81, 27, 9, 3, 1];
const MAX_VERTICES = { "4V": 4, "5V": 5, "7V": 7 };

const edgeBit = (x, y) => x + (y * (y - 1)) / 2;

/** Edges [x, y] and operations (numbers) of a cell's key. */
function decodeCell(key) {
  const numVertices = key >>> 29, bits = (key >>> 8) & 0x1fffff, code = key & 255;
  const edges = [];
  for (let y = 1; y < numVertices; y++) for (let x = 0; x < y; x++) if ((bits >> edgeBit(x, y)) & 1) edges.push([x, y]);
  const ops = OP_WEIGHTS.slice(0, numVertices - 2).map((weight) => Math.floor(code / weight) % 3);
  return { numVertices, edges, ops };
}

const permutations = (() => {
  const known = [[[]]];
  return (n) => {
    while (known.length <= n) {
      const m = known.length - 1;
      known.push(known[m].flatMap((order) => [...Array(m + 1).keys()].map((i) => [...order.slice(0, i), m, ...order.slice(i)])));
    }
    return known[n];
  };
})();

/**
 * The key of a graph's canonical labelling after pruning: the smallest edge bits, then the smallest operations.
 * Vertices carry any numbers: 0 is the input, `output` the output, ops is a Map of the others. Null for no cell.
 */
function canonicalKey(edges, ops, output) {
  const reach = (start, from, to) => {
    const seen = new Set([start]);
    for (const v of seen) for (const edge of edges) if (edge[from] === v) seen.add(edge[to]);
    return seen;
  };
  const ahead = reach(0, 0, 1), behind = reach(output, 1, 0);
  if (!ahead.has(output)) return null;
  const live = (v) => ahead.has(v) && behind.has(v);
  const kept = edges.filter(([x, y]) => live(x) && live(y));
  const inner = [...ops.keys()].filter(live);
  const last = inner.length + 1;
  let bestBits = Infinity, bestCode = Infinity;
  const position = new Map([[0, 0], [output, last]]);
  for (const order of permutations(inner.length)) {
    order.forEach((place, i) => position.set(inner[i], place + 1));
    let bits = 0;
    for (const [x, y] of kept) {
      const a = position.get(x), b = position.get(y);
      if (a >= b) { bits = Infinity; break; } // against the order: another one, or a cycle
      bits |= 1 << edgeBit(a, b);
    }
    if (bits > bestBits || bits === Infinity) continue;
    let code = 0;
    order.forEach((place, i) => { code += ops.get(inner[i]) * OP_WEIGHTS[place]; });
    if (bits < bestBits || code < bestCode) { bestBits = bits; bestCode = code; }
  }
  return bestBits === Infinity ? null : ((last + 1) * 2 ** 29 + bestBits * 256 + bestCode) >>> 0;
}

/** The row of a key among ascending keys, or −1. */
function rowOfKey(keys, key) {
  let low = 0, high = keys.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (keys[middle] === key) return middle;
    if (keys[middle] < key) low = middle + 1; else high = middle - 1;
  }
  return -1;
}

/** Rows of the cells one edit away, ascending (ecnas.Space.neighbours). */
function neighboursOf(keys, row, maxVertices) {
  const { numVertices, edges, ops } = decodeCell(keys[row]);
  const last = numVertices - 1;
  const opMap = new Map(ops.map((op, i) => [i + 1, op]));
  const rows = new Set();
  const add = (newEdges, newOps) => {
    const key = canonicalKey(newEdges, newOps, last);
    if (key !== null) rows.add(rowOfKey(keys, key));
  };
  for (const edge of edges) add(edges.filter((other) => other !== edge), opMap);
  for (const [v, op] of opMap) for (const other of [0, 1, 2]) if (other !== op) add(edges, new Map(opMap).set(v, other));
  for (let x = 0; x < last; x++) {
    for (let y = 1; y <= last; y++) {
      if (x === y) continue;
      if (!edges.some(([a, b]) => a === x && b === y)) add([...edges, [x, y]], opMap);
      if (numVertices < maxVertices) {
        for (const op of [0, 1, 2]) add([...edges, [x, last + 1], [last + 1, y]], new Map(opMap).set(last + 1, op));
      }
    }
  }
  rows.delete(row);
  rows.delete(-1);
  return [...rows].sort((a, b) => a - b);
}

/** The cell as an SVG element; an edge that passes vertices runs in a lane of its own beside them. */
function drawCell({ numVertices, edges, ops }) {
  const WIDTH = 100, HEIGHT = 44, STEP = 74, LANE = 20;
  const FILL = ["#f2b48c", "#a9d3ec", "#a8dbc5"];
  const node = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const lanes = new Map();
  const long = edges.filter(([x, y]) => y - x > 1).sort((a, b) => a[1] - a[0] - (b[1] - b[0]) || a[0] - b[0]);
  for (const edge of long) {
    const taken = (lane) => [...lanes].some(([o, l]) => l === lane && edge[0] < o[1] && o[0] < edge[1]);
    let lane = 1;
    while (taken(lane)) lane = lane > 0 ? -lane : 1 - lane;
    lanes.set(edge, lane);
  }
  const widest = Math.max(1, ...[...lanes.values()].map(Math.abs));
  const half = WIDTH / 2 + LANE * widest + 6;
  const svg = node("svg", { viewBox: `${-half} ${-HEIGHT / 2 - 4} ${2 * half} ${(numVertices - 1) * STEP + HEIGHT + 8}`,
    width: 2 * half, role: "img", "aria-label": "drawing of the cell" });
  const arrow = (points) => {
    const [[x0, y0], [x1, y1]] = points.slice(-2);
    const length = Math.hypot(x1 - x0, y1 - y0), dx = (x1 - x0) / length, dy = (y1 - y0) / length;
    svg.append(node("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.4 }));
    const head = [[x1, y1], [x1 - 8 * dx + 4 * dy, y1 - 8 * dy - 4 * dx], [x1 - 8 * dx - 4 * dy, y1 - 8 * dy + 4 * dx]];
    svg.append(node("polygon", { points: head.join(" "), fill: "currentColor" }));
  };
  const near = (a, b) => Math.abs(lanes.get(a)) - Math.abs(lanes.get(b));
  const sideOf = (edge) => Math.sign(lanes.get(edge));
  for (const edge of edges) {
    const [x, y] = edge;
    if (!lanes.has(edge)) { arrow([[0, x * STEP + HEIGHT / 2], [0, y * STEP - HEIGHT / 2]]); continue; }
    const side = sideOf(edge), lane = side * (WIDTH / 2 + LANE * Math.abs(lanes.get(edge)));
    // The ends at one side of a box are spread over its height, arrivals above departures, so that none cross.
    const out = long.filter((o) => o[0] === x && sideOf(o) === side).sort(near);
    const into = long.filter((o) => o[1] === y && sideOf(o) === side).sort(near);
    const start = x * STEP + (0.45 * HEIGHT * (out.length - out.indexOf(edge))) / (out.length + 1);
    const end = y * STEP - (0.45 * HEIGHT * (into.length - into.indexOf(edge))) / (into.length + 1);
    arrow([[(side * WIDTH) / 2, start], [lane, start], [lane, end], [(side * WIDTH) / 2, end]]);
  }
  for (let v = 0; v < numVertices; v++) {
    const name = v === 0 ? "input" : v === numVertices - 1 ? "output" : OPERATIONS[ops[v - 1]];
    const fill = v === 0 || v === numVertices - 1 ? "#dddddd" : FILL[ops[v - 1]];
    svg.append(node("rect", { x: -WIDTH / 2, y: v * STEP - HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: 9, fill,
      stroke: "#444", "stroke-width": 1 }));
    svg.append(node("text", { x: 0, y: v * STEP + 5, "text-anchor": "middle", "font-size": 15, fill: "#000" }, name));
  }
  return svg;
}
