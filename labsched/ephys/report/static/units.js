"use strict";
// The drawings of one unit: made when it comes into view, since there may be hundreds.

function card(says, drawing) {
  const made = html("figure");
  made.append(drawing, html("figcaption", {}, says));
  return made;
}

function waveDrawing(unit) {
  const w = unit.wave;
  const mean = rows(w.mean);
  const std = rows(w.std);
  const sites = w.channels.map((label, k) => ({ label, x: w.x[k], y: w.y[k], k }));
  const text = widest(w.channels);
  const at = placed(sites, 68 + text, 30, 330);
  const left = text + 12;
  const top = 26;
  const wide = 62;
  const n = mean.length ? mean[0].length : 0;
  const height = top + at.height + 74;
  const width = left + at.width + wide + 44;
  const made = canvas(width, height, `mean waveform of unit ${unit.unit} on ${sites.length} channels`);
  let size = 1e-9;
  mean.forEach((m, c) => m.forEach((v, k) => {
    size = Math.max(size, Math.abs(v), 0.6 * (Math.abs(v) + std[c][k]));
  }));
  const tall = 26 / size;
  for (const s of sites) {
    const x0 = left + at.x(s);
    const y0 = top + at.y(s);
    const x = linear(0, Math.max(n - 1, 1), x0, x0 + wide);
    const xs = Array.from({ length: n }, (_, k) => x(k));
    const up = xs.map((v, k) => `${v.toFixed(1)} ${(y0 - (mean[s.k][k] + std[s.k][k]) * tall).toFixed(1)}`);
    const down = xs.map((v, k) => `${v.toFixed(1)} ${(y0 - (mean[s.k][k] - std[s.k][k]) * tall).toFixed(1)}`).reverse();
    made.append(svg("line", { class: "zero", x1: x0, x2: x0 + wide, y1: y0, y2: y0 }));
    if (n) made.append(svg("path", { class: "area clean", d: `M${[...up, ...down].join("L")}Z` }));
    made.append(line(xs, Array.from(mean[s.k], (v) => y0 - v * tall), s.label === unit.peak ? "clean bold" : "clean"));
    made.append(svg("text", { class: s.label === unit.peak ? "label strong" : "label", x: x0 - 5, y: y0 + 3.5, "text-anchor": "end" }, s.label));
  }
  const ms = niceBelow((n / data.rate) * 1000 * 0.6);
  const long = (ms / ((n / data.rate) * 1000)) * wide;
  const uv = niceBelow(size);
  const y = height - 12;
  made.append(svg("path", { class: "scale", d: `M${left} ${y - uv * tall}V${y}h${long}` }));
  made.append(svg("text", { class: "label", x: left + long + 6, y: y + 1 }, `${fmt(ms)} ms`));
  made.append(svg("text", { class: "label", x: left - 5, y: y - (uv * tall) / 2 + 3, "text-anchor": "end" }, `${fmt(uv)} µV`));
  return made;
}

function amplitudeDrawing(unit) {
  const t = row(unit.amplitudes.t);
  const uv = row(unit.amplitudes.uv);
  const counts = row(unit.presence);
  const [width, height, left, right, top, bottom] = [300, 210, 52, 292, 8, 138];
  const made = canvas(width, height, `amplitude of unit ${unit.unit} over time`);
  const low = Math.min(0, ...uv);
  const high = Math.max(0, ...uv);
  const x = linear(0, data.seconds, left, right);
  const y = linear(low, high, bottom, top);
  yAxis(made, y, ticks(low, high, 4), left, "amplitude (µV)", top, bottom);
  made.append(dots(Array.from(t, x), Array.from(uv, y), 1.3, "clean"));
  const most = Math.max(1, ...counts);
  const each = (right - left) / counts.length;
  const floor = 174;
  counts.forEach((count, k) => {
    const tall = (count / most) * 28;
    made.append(svg("rect", { class: "bin", x: left + k * each, y: floor - tall, width: Math.max(each - 0.5, 0.5), height: tall }));
  });
  const rate = most / (data.seconds / counts.length);
  made.append(svg("text", { class: "label", x: left - 6, y: floor - 20, "text-anchor": "end" }, `${fmt(rate, 2)} Hz`));
  timeAxis(made, x, floor, left, right, 5);
  return made;
}

// Time in s, minutes or hours, as it is long.
function timeAxis(into, x, y, left, right, count) {
  const [unit, size] = data.seconds > 3 * 3600 ? ["h", 3600] : data.seconds > 300 ? ["min", 60] : ["s", 1];
  const values = ticks(0, data.seconds / size, count);
  xAxis(into, (v) => x(v * size), values, y, `time (${unit})`, right, left);
}

function correlogramDrawing(packed, says) {
  const counts = row(packed);
  const reach = (counts.length / 2) * data.bin_ms;
  const [width, height, left, right, top, bottom] = [176, 190, 42, 168, 8, 150];
  const made = canvas(width, height, says);
  const most = Math.max(1, ...counts);
  const x = linear(-reach, reach, left, right);
  const y = linear(0, most, bottom, top);
  const each = (right - left) / counts.length;
  let d = "";
  counts.forEach((count, k) => {
    if (count) d += `M${(left + k * each).toFixed(2)} ${bottom}V${y(count).toFixed(1)}h${each.toFixed(2)}V${bottom}Z`;
  });
  made.append(svg("path", { class: "bin", d }));
  made.append(svg("line", { class: "zero", x1: x(0), x2: x(0), y1: top, y2: bottom }));
  xAxis(made, x, [-reach, 0, reach], bottom, "lag (ms)", right, left);
  yAxis(made, y, ticks(0, most, 3).filter((v) => Number.isInteger(v)), left, "pairs", top, bottom);
  return made;
}

function drawUnit(article) {
  const unit = data.units[Number(article.dataset.k)];
  const place = article.querySelector(".cards");
  if (place.childElementCount) return;
  place.append(
    card("mean waveform ± one standard deviation, by channel", waveDrawing(unit)),
    card("amplitude over time; below: how often it fires", amplitudeDrawing(unit)),
    card("auto-correlogram", correlogramDrawing(unit.acg, `auto-correlogram of unit ${unit.unit}`)),
  );
  for (const near of unit.near) {
    place.append(card(`with ${near.unit} (similarity ${fmt(near.similarity, 2)})`,
      correlogramDrawing(near.ccg, `cross-correlogram of units ${unit.unit} and ${near.unit}`)));
  }
}

function drawUnits() {
  const articles = Array.from(document.querySelectorAll("article[data-k]"));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        drawUnit(entry.target);
        seen.unobserve(entry.target);
      }
    }
  }, { rootMargin: "800px" });
  articles.forEach((article) => seen.observe(article));
  window.addEventListener("beforeprint", () => articles.forEach(drawUnit));
  for (const box of document.querySelectorAll("input.kind")) {
    box.addEventListener("change", () => {
      const wanted = new Set(Array.from(document.querySelectorAll("input.kind:checked"), (each) => each.value));
      for (const each of document.querySelectorAll("[data-label]")) each.hidden = !wanted.has(each.dataset.label);
    });
  }
}
