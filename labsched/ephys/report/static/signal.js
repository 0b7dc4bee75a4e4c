"use strict";
// Traces, raw beside de-noised on one scale; and spectra.

// At most two points a pixel, the extremes of what lies there, so that no spike is lost.
function thinned(values, width) {
  const count = Math.max(Math.floor(width), 2);
  if (values.length <= 2 * count) return { at: Array.from(values, (_, k) => k), values: Array.from(values) };
  const at = [];
  const kept = [];
  for (let k = 0; k < count; k += 1) {
    const from = Math.floor((k * values.length) / count);
    const to = Math.floor(((k + 1) * values.length) / count);
    let low = from;
    let high = from;
    for (let i = from; i < to; i += 1) {
      if (values[i] < values[low]) low = i;
      if (values[i] > values[high]) high = i;
    }
    for (const i of low < high ? [low, high] : [high, low]) { at.push(i); kept.push(values[i]); }
  }
  return { at, values: kept };
}

function spreadOf(values) {
  const middle = median(values);
  return median(Array.from(values, (v) => Math.abs(v - middle))) / 0.6745;
}

function drawTraces(place) {
  const t = data.traces;
  if (!t.windows.length) return;
  const bar = html("div", { class: "bar", role: "group", "aria-label": "which stretch, and how large" });
  const panel = html("div", { class: "panel" });
  place.append(bar, panel);
  let chosen = 0;
  let zoom = 1;
  const known = new Map();
  const loaded = (k) => {
    if (!known.has(k)) {
      const w = t.windows[k];
      const of = (packed) => (packed ? rows(packed) : null);
      const found = { after: of(w.after), before: of(w.before), omitted: of(w.omitted) };
      const levels = found.after.map(spreadOf).filter((v) => v > 0);
      const raw = (found.before || []).map(spreadOf).filter((v) => v > 0);
      found.room = Math.max(9 * median(levels), raw.length ? 2.2 * median(raw) : 0) || 1;
      known.set(k, found);
    }
    return known.get(k);
  };
  const again = fitted(panel, (width) => [traceDrawing(t, loaded(chosen), t.windows[chosen], width, zoom)]);
  const buttons = t.windows.map((w, k) => {
    const button = html("button", { type: "button", "aria-pressed": String(k === 0) },
      `${clock(w.start_s)}${w.why ? ` (${w.why})` : ""}`);
    button.addEventListener("click", () => {
      chosen = k;
      buttons.forEach((each, i) => each.setAttribute("aria-pressed", String(i === k)));
      again();
    });
    return button;
  });
  bar.append(html("span", {}, "at"), ...buttons, html("span", {}, "amplitude"));
  for (const [says, factor, title] of [["−", 0.5, "smaller"], ["+", 2, "larger"]]) {
    const button = html("button", { type: "button", title, "aria-label": title }, says);
    button.addEventListener("click", () => { zoom *= factor; again(); });
    bar.append(button);
  }
}

function clock(seconds) {
  if (seconds < 100) return `${fmt(seconds, 3)} s`;
  const h = Math.floor(seconds / 3600);
  const m = Math.floor((seconds % 3600) / 60);
  const s = Math.floor(seconds % 60);
  return `${h ? `${h}:` : ""}${h ? String(m).padStart(2, "0") : m}:${String(s).padStart(2, "0")}`;
}

function traceDrawing(t, loaded, w, width, zoom) {
  const order = data.order.filter((k) => k < t.labels.length);
  const names = [...order.map((k) => t.labels[k]), ...(loaded.omitted ? t.omitted : [])];
  const step = names.length > 128 ? 11 : names.length > 48 ? 13 : 20;
  const left = widest(names) + 14;
  const two = loaded.before !== null;
  const beside = two && width >= 760;
  const each = beside ? (width - left - 40) / 2 : width - left - 16;
  const top = 24;
  const tall = names.length * step + 14;
  const height = top + tall * (two && !beside ? 2 : 1) + (two && !beside ? 30 : 0) + 44;
  const made = canvas(width, height, "traces of all channels, raw and de-noised, on one scale");
  const room = loaded.room / zoom;
  const n = loaded.after[0].length;
  const ms = (n / t.rate) * 1000;
  const side = (kind, says, values, x0, y0, labelled) => {
    made.append(svg("text", { class: "heading", x: x0, y: y0 - 8 }, says));
    const clip = `clip-${kind}`;
    const box = svg("clipPath", { id: clip });
    box.append(svg("rect", { x: x0, y: y0 - 2, width: each, height: tall }));
    made.append(box);
    const group = svg("g", { "clip-path": `url(#${clip})` });
    const x = linear(0, n - 1, x0, x0 + each);
    values.forEach((series, k) => {
      const y = y0 + (k + 0.5) * step;
      if (labelled) made.append(svg("text", { class: "label", x: left - 6, y: y + 3.5, "text-anchor": "end" }, names[k]));
      if (!series) {
        group.append(svg("text", { class: "quiet", x: x0 + 6, y: y + 3.5 }, "omitted"));
        return;
      }
      const thin = thinned(series, each);
      group.append(line(thin.at.map(x), thin.values.map((v) => y - (v / room) * step), k < order.length ? kind : "omitted"));
    });
    made.append(group);
    xAxis(made, linear(0, ms, x0, x0 + each), ticks(0, ms, each / 90), y0 + tall, "time (ms)", x0 + each, x0);
  };
  const extra = loaded.omitted || [];
  const after = [...order.map((k) => loaded.after[k]), ...extra.map(() => null)];
  if (two) {
    const before = [...order.map((k) => loaded.before[k]), ...extra];
    side("raw", "raw", before, left, top, true);
    if (beside) side("clean", "de-noised", after, left + each + 24, top, false);
    else side("clean", "de-noised", after, left, top + tall + 56, true);
  } else side("clean", "de-noised (the raw recording is not there)", after, left, top, true);
  const size = niceBelow(room * 2);
  const x = width - 18;
  const y = 4;
  const long = (size / room) * step;
  made.append(svg("line", { class: "scale", x1: x, x2: x, y1: y, y2: y + long }));
  made.append(svg("text", { class: "label", x: x - 5, y: y + 11, "text-anchor": "end" }, `${fmt(size)} µV`));
  return made;
}

function niceBelow(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [5, 2, 1].map((k) => k * power).find((k) => k <= value) || power;
}

function drawSpectra(place) {
  const s = data.spectra;
  if (!s) return;
  const hz = s.hz;
  const sides = [["raw", "raw", s.before], ["clean", "de-noised", s.after]].filter((each) => each[2]);
  const lines = sides.map(([kind, says, packed]) => {
    const all = rows(packed);
    const at = (k, part) => quantile(all.map((r) => r[k]), part);
    return { kind, says, mid: hz.map((_, k) => at(k, 0.5)), low: hz.map((_, k) => at(k, 0.1)), high: hz.map((_, k) => at(k, 0.9)) };
  });
  fitted(place, (width) => {
    const wide = Math.min(width, 900);
    const height = 300;
    const [left, right, top, bottom] = [58, wide - 12, 26, height - 40];
    const made = canvas(wide, height, "power density against frequency, before and after stage 1");
    const lowest = Math.min(...lines.flatMap((l) => l.low));
    const highest = Math.max(...lines.flatMap((l) => l.high));
    const x = linear(Math.log10(hz[0]), Math.log10(hz[hz.length - 1]), left, right);
    const y = linear(Math.floor(lowest), Math.ceil(highest), bottom, top);
    const xs = hz.map((f) => x(Math.log10(f)));
    for (const l of lines) {
      const edge = [...xs.map((v, k) => `${v.toFixed(1)} ${y(l.high[k]).toFixed(1)}`),
        ...xs.map((v, k) => `${v.toFixed(1)} ${y(l.low[k]).toFixed(1)}`).reverse()];
      made.append(svg("path", { class: `area ${l.kind}`, d: `M${edge.join("L")}Z` }));
    }
    for (const l of lines) made.append(line(xs, l.mid.map(y), `${l.kind} bold`));
    const decades = [1, 10, 100, 1000, 10000, 100000].filter((f) => f >= hz[0] * 0.99 && f <= hz[hz.length - 1]);
    xAxis(made, (f) => x(Math.log10(f)), decades, bottom, "frequency (Hz)", right, left, (f) => (f >= 1000 ? `${f / 1000}k` : String(f)));
    const every = Math.ceil((Math.ceil(highest) - Math.floor(lowest)) / 6);
    const powers = ticks(Math.floor(lowest), Math.ceil(highest), 6).filter((p) => Number.isInteger(p) && p % every === 0);
    yAxis(made, y, powers, left, "µV²/Hz", top, bottom, (p) => (p > -3 && p < 4 ? String(10 ** p) : `1e${p}`));
    let at = left + 8;
    for (const l of lines) {
      made.append(svg("line", { class: `line bold ${l.kind}`, x1: at, x2: at + 20, y1: 12, y2: 12 }));
      made.append(svg("text", { class: "label", x: at + 25, y: 16 }, l.says));
      at += 40 + widest([l.says]) + 10;
    }
    return [made];
  });
}
