"use strict";
// What all drawings share: numbers from the page's data, SVG elements, axes, colours.

const data = JSON.parse(document.getElementById("data").textContent);

const KINDS = {
  b: Int8Array, h: Int16Array, B: Uint8Array, H: Uint16Array, i: Int32Array, f: Float32Array,
};

// {k, n, s, d} as rows of numbers; the numbers of any other are one row.
function rows(packed) {
  const bytes = Uint8Array.from(atob(packed.d), (c) => c.charCodeAt(0));
  const flat = new KINDS[packed.k](bytes.buffer);
  const width = packed.n[packed.n.length - 1] || 0;
  const found = [];
  for (let at = 0; at < flat.length; at += width) {
    found.push(Float64Array.from(flat.subarray(at, at + width), (v) => v * packed.s));
  }
  return found;
}

function row(packed) {
  return rows(packed)[0] || new Float64Array(0);
}

// An SVG element. Text that comes from a recording goes in as text, never as markup.
function svg(tag, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

function html(tag, attributes = {}, text = null) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

// A drawing of this size (px) that says in words what it shows.
function canvas(width, height, says) {
  const made = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": says });
  return made;
}

function fmt(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(Math.max(digits - 2, 0)).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

// Round numbers between two values, about so many.
function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

function linear(from, to, a, b) {
  const span = to - from || 1;
  return (value) => a + ((value - from) / span) * (b - a);
}

function xAxis(into, scale, values, y, says, width, left, show = fmt) {
  for (const value of values) {
    const x = scale(value);
    into.append(svg("line", { class: "tick", x1: x, x2: x, y1: y, y2: y + 4 }));
    into.append(svg("text", { class: "label", x, y: y + 15, "text-anchor": "middle" }, show(value)));
  }
  into.append(svg("line", { class: "axis", x1: left, x2: width, y1: y, y2: y }));
  into.append(svg("text", { class: "title", x: (left + width) / 2, y: y + 29, "text-anchor": "middle" }, says));
}

function yAxis(into, scale, values, x, says, top, bottom, show = fmt) {
  for (const value of values) {
    const y = scale(value);
    into.append(svg("line", { class: "tick", x1: x - 4, x2: x, y1: y, y2: y }));
    into.append(svg("text", { class: "label", x: x - 6, y: y + 3.5, "text-anchor": "end" }, show(value)));
  }
  into.append(svg("line", { class: "axis", x1: x, x2: x, y1: top, y2: bottom }));
  const middle = (top + bottom) / 2;
  into.append(svg("text", {
    class: "title", x: 11, y: middle, "text-anchor": "middle", transform: `rotate(-90 11 ${middle})`,
  }, says));
}

// Points as one path: thousands of them cost one element.
function dots(xs, ys, radius, kind) {
  let d = "";
  for (let k = 0; k < xs.length; k += 1) d += `M${xs[k].toFixed(1)} ${ys[k].toFixed(1)}h0`;
  return svg("path", { class: `dots ${kind}`, d, "stroke-width": 2 * radius });
}

function line(xs, ys, kind) {
  let d = "";
  for (let k = 0; k < xs.length; k += 1) d += `${k ? "L" : "M"}${xs[k].toFixed(1)} ${ys[k].toFixed(1)}`;
  return svg("path", { class: `line ${kind}`, d });
}

// From few to much: dark blue over green to yellow, each readable on white and on black.
const RAMP = [[68, 58, 131], [49, 104, 142], [33, 145, 140], [53, 183, 121], [160, 190, 40], [240, 175, 20]];

function ramp(part) {
  const at = Math.min(Math.max(part, 0), 1) * (RAMP.length - 1);
  const k = Math.min(Math.floor(at), RAMP.length - 2);
  const mixed = RAMP[k].map((v, i) => Math.round(v + (RAMP[k + 1][i] - v) * (at - k)));
  return `rgb(${mixed.join(",")})`;
}

function median(values) {
  const sorted = Array.from(values).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

function quantile(values, part) {
  const sorted = Array.from(values).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(Math.floor(part * sorted.length), sorted.length - 1)] : 0;
}

// The widest of some texts, px, in the font of labels.
function widest(texts, size = 11) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(Math.max(0, ...texts.map((text) => pen.measureText(text).width)));
}

// Draw now, and again whenever the place becomes wider or narrower.
function fitted(place, draw) {
  let last = 0;
  const again = () => {
    const width = Math.floor(place.clientWidth);
    if (width && Math.abs(width - last) > 1) {
      last = width;
      place.replaceChildren(...draw(width));
    }
  };
  again();
  new ResizeObserver(again).observe(place);
  return () => { last = 0; again(); };
}
