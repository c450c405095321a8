// Many points in a plane: density where they are many, single points where they are few. Draws with regl.
"use strict";

const TILES = 64; // tiles a side; the points of a tile lie together, so that what is in view is found at once
const MOST_POINTS = 20000; // above this many in view, their density is drawn
const BIN = 2; // pixels of the screen a side of a bin of the density
const MARGIN = 0.3; // of the view that is binned around it, so that panning need not bin anew
const STRETCH = 1.25; // how much a binned picture may be stretched while the view moves
const SETTLE = 120; // ms without a move after which a stretched picture is binned anew

/** A scale from values to 0…1. Accuracies go by the logarithm of the error, costs by their own. */
class Scale {
  constructor(metric) {
    this.metric = metric;
    this.isError = metric.accuracy;
    this.isLog = metric.accuracy || metric.log;
    let { low, high } = metric;
    if (low === high) [low, high] = this.isError ? [low - 0.01, Math.min(high + 0.01, 1)] : [low * 0.9 - 1e-9, high * 1.1 + 1e-9];
    this.from = this._bend(low);
    this.extent = this._bend(high) - this.from;
  }
  _bend(value) {
    if (this.isError) return -Math.log(Math.max(1 - value, 1e-4));
    return this.isLog ? Math.log(value) : value;
  }
  toUnit(value) { return (this._bend(value) - this.from) / this.extent; }
  fromUnit(unit) {
    const bent = unit * this.extent + this.from;
    return this.isError ? 1 - Math.exp(-bent) : this.isLog ? Math.exp(bent) : bent;
  }
  /** Round values from unit `lo` to `hi`, at least `gap` apart on `pixels`; each with as many decimals as it needs. */
  ticks(lo, hi, pixels, gap) {
    const at = (q) => ((this.toUnit(this.isError ? 1 - q : q) - lo) / (hi - lo)) * pixels;
    let [a, b] = [this.fromUnit(lo), this.fromUnit(hi)];
    if (this.isError) [a, b] = [1 - b, 1 - a];
    const apart = (list) => list.every((q, i) => i === 0 || Math.abs(at(q) - at(list[i - 1])) >= gap);
    const found = [];
    const divide = (from, step, parts) => { // the interval from … from + step, whose ends are ticks
      if (parts === 0 || from > b || from + step < a) return;
      for (const n of { 1: [10, 5, 2], 2: [4, 2], 5: [5], 3: [3] }[Math.round(step / 10 ** Math.floor(Math.log10(step * 1.0001)))] ?? []) {
        const inside = [...Array(n + 1).keys()].map((i) => from + (i * step) / n);
        if (!apart(inside)) continue;
        for (let i = 0; i < n; i++) {
          if (i > 0) found.push([inside[i], step / n]);
          divide(inside[i], step / n, parts - 1);
        }
        return;
      }
    };
    if (this.isLog) {
      const decades = [];
      for (let p = Math.floor(Math.log10(a)); p <= Math.ceil(Math.log10(b)); p++) decades.push(10 ** p);
      const scheme = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 2, 5, 10], [1, 3, 10], [1, 10]].find((s) => apart(s.map((m) => m * decades[0]))) ?? [1];
      for (const decade of decades) {
        scheme.forEach((m, i) => {
          if (m < 10) found.push([m * decade, decade]);
          if (m < 10 && i + 1 < scheme.length) divide(m * decade, (scheme[i + 1] - m) * decade, 6);
        });
      }
    } else {
      const step = 10 ** Math.ceil(Math.log10(b - a || 1));
      for (let from = Math.floor(a / step) * step; from <= b; from += step) { found.push([from, step]); divide(from, step, 6); }
    }
    return found.filter(([q]) => q >= a && q <= b).map(([q, step]) => {
      const value = this.isError ? 1 - q : q;
      return { unit: this.toUnit(value), text: this.format(value, step) };
    });
  }
  format(value, step) {
    const [size, suffix] = this.isError || Math.abs(value) < 1e4 ? [1, ""] : value < 1e6 ? [1e3, "k"] : [1e6, "M"];
    const decimals = Math.max(0, -Math.floor(Math.log10((step / size) * 1.0001)));
    return (value / size).toFixed(Math.min(decimals, 10)) + suffix;
  }
}

class Scatter {
  constructor(canvas) {
    this.canvas = canvas;
    this.regl = createREGL({ canvas, attributes: { antialias: false, preserveDrawingBuffer: false } });
    this.view = { left: 0, bottom: 0, size: 1 }; // what is in view, of the unit square
    const regl = this.regl;
    this.buffers = { place: regl.buffer(0), colour: regl.buffer(0), hollow: regl.buffer(0) };
    this.ramp = regl.texture({ width: 1, height: 1 });
    this.picture = regl.texture({ width: 1, height: 1 });
    const blend = { enable: true, func: { src: "one", dst: "one minus src alpha" } };
    const over = { blend, depth: { enable: false } };
    this.drawPoints = regl({
      ...over,
      vert: `precision highp float;
        attribute vec2 place; attribute float colour, hollow;
        uniform vec3 view; uniform float diameter;
        varying float shade, ring;
        void main() {
          gl_Position = vec4((place - view.xy) / view.z * 2.0 - 1.0, 0, 1);
          gl_PointSize = diameter + 1.0; shade = colour; ring = hollow;
        }`,
      frag: `precision highp float; // as in the vertex shader, which shares a uniform
        uniform sampler2D ramp; uniform float diameter; uniform vec4 unknown;
        varying float shade, ring;
        void main() {
          float r = length(gl_PointCoord - 0.5) * (diameter + 1.0);
          float alpha = clamp(diameter * 0.5 - r + 0.5, 0.0, 1.0) * 0.85;
          if (ring > 0.5) alpha *= clamp(r - diameter * 0.5 + 2.0, 0.12, 1.0);
          vec4 c = shade > 0.998 ? unknown : texture2D(ramp, vec2(shade, 0.5));
          gl_FragColor = vec4(c.rgb, 1) * alpha;
        }`,
      attributes: Object.fromEntries(Object.entries(this.buffers).map(([name, buffer]) => [name, { buffer, type: "float" }])),
      uniforms: { view: () => [this.view.left, this.view.bottom, this.view.size], diameter: () => this.diameter * devicePixelRatio,
        ramp: this.ramp, unknown: () => [...this.unknown.map((v) => v / 255), 1] },
      primitive: "points", offset: regl.prop("offset"), count: regl.prop("count"),
    });
    this.drawPicture = regl({
      depth: { enable: false },
      vert: `precision highp float; attribute vec2 corner; uniform vec3 view, part; varying vec2 where;
        void main() { where = corner; gl_Position = vec4((part.xy + corner * part.z - view.xy) / view.z * 2.0 - 1.0, 0, 1); }`,
      frag: `precision mediump float; uniform sampler2D picture; varying vec2 where;
        void main() { gl_FragColor = texture2D(picture, where); }`,
      attributes: { corner: [[0, 0], [1, 0], [0, 1], [1, 1]] },
      uniforms: { view: () => [this.view.left, this.view.bottom, this.view.size], part: () => [this.part.left, this.part.bottom, this.part.size], picture: this.picture },
      primitive: "triangle strip", count: 4,
    });
  }

  /** Sets what is shown: places (Float32Array, NaN where there is none) and a mask of the rows. */
  setPoints(x, y, mask) {
    Object.assign(this, { x, y });
    const tileOf = new Int16Array(x.length), starts = new Uint32Array(TILES * TILES + 1);
    const clip = (v) => Math.min(TILES - 1, Math.max(0, Math.floor(v * TILES)));
    let shown = 0;
    for (let row = 0; row < x.length; row++) {
      if (!mask[row] || !(x[row] === x[row]) || !(y[row] === y[row])) { tileOf[row] = -1; continue; }
      tileOf[row] = clip(y[row]) * TILES + clip(x[row]);
      starts[tileOf[row] + 1]++;
      shown++;
    }
    for (let tile = 0; tile < TILES * TILES; tile++) starts[tile + 1] += starts[tile];
    const next = starts.slice(), order = new Uint32Array(shown), places = new Float32Array(2 * shown);
    for (let row = 0; row < x.length; row++) {
      if (tileOf[row] < 0) continue;
      const at = next[tileOf[row]]++;
      order[at] = row;
      places[2 * at] = x[row];
      places[2 * at + 1] = y[row];
    }
    Object.assign(this, { order, starts, places });
    this.buffers.place(places);
    this.part = null;
  }

  /**
   * Colours the rows: shades 0…254 on a ramp of RGB, 255 for unknown; hollow is 1 for rings. After setPoints.
   * The ground is RGBA from 0 to 1.
   */
  setColours(shades, hollow, ramp, unknown, ground) {
    const pick = (values) => Uint8Array.from(this.order, (row) => values[row]);
    this.shades = pick(shades);
    Object.assign(this, { unknown, ground });
    this.rampColours = ramp;
    const shadesBuffer = Float32Array.from(this.shades, (s) => s / 255);
    this.buffers.colour(shadesBuffer);
    this.buffers.hollow(Float32Array.from(pick(hollow)));
    this.ramp({ width: 256, height: 1, format: "rgb", data: ramp, min: "linear", mag: "linear", wrap: "clamp" });
    this.part = null;
  }

  /** Ranges of `order` whose tiles meet a square of the unit square. */
  ranges({ left, bottom, size }) {
    const clip = (v) => Math.min(TILES - 1, Math.max(0, Math.floor(v * TILES)));
    const ranges = [];
    for (let ty = clip(bottom); ty <= clip(bottom + size); ty++) {
      const offset = this.starts[ty * TILES + clip(left)], end = this.starts[ty * TILES + clip(left + size) + 1];
      if (end > offset) ranges.push({ offset, count: end - offset });
    }
    return ranges;
  }

  /** How many points are in view, at most. */
  inView() { return this.ranges(this.view).reduce((sum, range) => sum + range.count, 0); }

  _bin() {
    const { left, bottom, size } = this.view;
    const part = { left: left - MARGIN * size, bottom: bottom - MARGIN * size, size: size * (1 + 2 * MARGIN) };
    const width = Math.ceil((this.width * (1 + 2 * MARGIN)) / BIN), height = Math.ceil((this.height * (1 + 2 * MARGIN)) / BIN);
    const counts = new Uint16Array(width * height), sums = new Float32Array(width * height);
    const { places, shades } = this, sx = width / part.size, sy = height / part.size;
    let most = 1;
    for (const { offset, count } of this.ranges(part)) {
      for (let i = offset; i < offset + count; i++) {
        const bx = Math.floor((places[2 * i] - part.left) * sx), by = Math.floor((places[2 * i + 1] - part.bottom) * sy);
        if (bx < 0 || by < 0 || bx >= width || by >= height) continue;
        const bin = by * width + bx;
        sums[bin] += shades[i];
        if (++counts[bin] > most) most = counts[bin];
      }
    }
    // Colours by shade and by logarithm of the count, in 32 levels, laid on the ground: an opaque picture draws fastest.
    const LEVELS = 32, level = (LEVELS - 1) / Math.log(1 + most), table = new Uint8Array(4 * 256 * LEVELS);
    for (let l = 0; l < LEVELS; l++) {
      const alpha = 0.45 + (0.55 * l) / (LEVELS - 1);
      for (let shade = 0; shade < 256; shade++) {
        for (let c = 0; c < 3; c++) {
          const colour = shade === 255 ? this.unknown[c] : this.rampColours[3 * shade + c];
          table[4 * (256 * l + shade) + c] = alpha * colour + (1 - alpha) * 255 * this.ground[c];
        }
        table[4 * (256 * l + shade) + 3] = 255;
      }
    }
    const levels = Uint8Array.from({ length: Math.min(most, 4096) + 1 }, (_, n) => level * Math.log(1 + n));
    const colours = new Uint32Array(table.buffer), data = new Uint32Array(width * height);
    data.fill(new Uint32Array(Uint8Array.from([...this.ground.slice(0, 3).map((v) => 255 * v), 255]).buffer)[0]);
    for (let bin = 0; bin < counts.length; bin++) {
      const n = counts[bin];
      if (n > 0) data[bin] = colours[256 * levels[Math.min(n, levels.length - 1)] + Math.round(sums[bin] / n)];
    }
    this.picture({ width, height, data: new Uint8Array(data.buffer), min: "nearest", mag: "nearest", wrap: "clamp" });
    this.part = part;
    this.binned = { size, width: this.width, height: this.height };
  }

  /** Whether the binned picture will do for the view, for now or for good. */
  _fits(stretch) {
    const { view, part, binned } = this;
    if (!part || binned.width !== this.width || binned.height !== this.height) return false;
    const ratio = view.size / binned.size, inside = (low, from) => low >= from && low + view.size <= from + part.size;
    return ratio <= stretch && ratio >= 1 / stretch && inside(view.left, part.left) && inside(view.bottom, part.bottom);
  }

  /** Draws the view; calls `redraw` if it should be drawn again once it rests. */
  draw(redraw) {
    const { view } = this, count = this.inView();
    this.regl.poll();
    this.regl.clear({ color: this.ground });
    this.mode = count > MOST_POINTS ? "density" : "cells";
    if (this.mode === "cells") {
      this.diameter = Math.min(11, Math.max(3, 0.5 * Math.sqrt((this.width * this.height) / Math.max(count, 1))));
      this.drawPoints(this.ranges(view));
      return;
    }
    if (!this._fits(STRETCH)) this._bin();
    if (!this._fits(1)) {
      clearTimeout(this.settling);
      this.settling = setTimeout(() => { this.part = null; redraw(); }, SETTLE);
    }
    this.drawPicture();
  }

  toScreen(x, y) {
    const { left, bottom, size } = this.view;
    return [((x - left) / size) * this.width, (1 - (y - bottom) / size) * this.height];
  }

  toUnit(px, py) {
    const { left, bottom, size } = this.view;
    return [left + (px / this.width) * size, bottom + (1 - py / this.height) * size];
  }

  /** The row whose point is nearest to a place on the screen, within so many pixels; −1 for none. */
  nearest(px, py, within) {
    const [left, top] = this.toUnit(px - within, py - within), [right, bottom] = this.toUnit(px + within, py + within);
    const clip = (v) => Math.min(TILES - 1, Math.max(0, Math.floor(v * TILES)));
    let best = -1, least = within * within;
    for (let ty = clip(bottom); ty <= clip(top); ty++) {
      const end = this.starts[ty * TILES + clip(right) + 1];
      for (let i = this.starts[ty * TILES + clip(left)]; i < end; i++) {
        const [x, y] = this.toScreen(this.places[2 * i], this.places[2 * i + 1]);
        const distance = (x - px) ** 2 + (y - py) ** 2;
        if (distance <= least) { least = distance; best = this.order[i]; }
      }
    }
    return best;
  }

  zoom(factor, px, py) {
    const [x, y] = this.toUnit(px, py), size = Math.min(1.3, Math.max(1e-4, this.view.size / factor));
    const ratio = size / this.view.size;
    this.view = this._kept({ left: x - (x - this.view.left) * ratio, bottom: y - (y - this.view.bottom) * ratio, size });
  }

  pan(dx, dy) {
    const { left, bottom, size } = this.view;
    this.view = this._kept({ left: left - (dx / this.width) * size, bottom: bottom + (dy / this.height) * size, size });
  }

  /** A view whose middle is in the unit square. */
  _kept({ left, bottom, size }) {
    const keep = (low) => Math.min(1, Math.max(0, low + size / 2)) - size / 2;
    return { left: keep(left), bottom: keep(bottom), size };
  }
}
