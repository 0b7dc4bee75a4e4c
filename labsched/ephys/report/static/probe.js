"use strict";
// The probe with its channel labels, one drawing a shank: columns side by side, depths to scale.

function shanks(sites) {
  const found = new Map();
  for (const site of sites) {
    if (!found.has(site.shank)) found.set(site.shank, []);
    found.get(site.shank).push(site);
  }
  return Array.from(found.entries()).sort((a, b) => a[0] - b[0]);
}

// Where sites lie in a drawing. A probe of few columns has them side by side, `step` px apart; one whose sites are
// scattered keeps its shape across, as wide as sites of one depth need. Depth is to scale, so that labels `gap` px tall
// do not lie on each other.
function placed(sites, step, gap, tallest) {
  const xs = Array.from(new Set(sites.map((s) => Math.round(s.x)))).sort((a, b) => a - b);
  const span = xs[xs.length - 1] - xs[0] || 1;
  const low = Math.min(...sites.map((s) => s.y));
  const high = Math.max(...sites.map((s) => s.y));
  const columns = xs.length <= 4 || sites.length >= 3 * xs.length;
  let wide = columns ? (xs.length - 1) * step : step;
  if (!columns) {
    for (const [one, other] of pairs(sites)) {
      if (Math.abs(one.y - other.y) < 0.5 && one.x !== other.x) {
        wide = Math.max(wide, (step * span) / Math.abs(one.x - other.x));
      }
    }
    wide = Math.min(wide, 8 * step);
  }
  const x = columns
    ? (s) => xs.indexOf(Math.round(s.x)) * step
    : (s) => ((s.x - xs[0]) / span) * wide;
  let scale = 0;
  for (const [one, other] of pairs(sites)) {
    const away = Math.abs(one.y - other.y);
    if (away >= 0.5 && Math.abs(x(one) - x(other)) < step - 4) scale = Math.max(scale, gap / away);
  }
  if (high > low) scale = Math.min(scale || (2.5 * gap) / (high - low), tallest / (high - low));
  if (high > low) scale = Math.max(scale, (2 * gap) / (high - low));
  return { x, y: (s) => (high - s.y) * scale, width: wide, height: (high - low) * scale, low, high };
}

function pairs(sites) {
  const sorted = Array.from(sites).sort((a, b) => a.y - b.y);
  return sorted.flatMap((one, k) => sorted.slice(k + 1, k + 13).map((other) => [one, other]));
}

function drawProbe(place) {
  const sites = data.channels;
  if (!sites.some((s) => s.x !== null)) {
    place.append(html("p", { class: "quiet" }, "No probe is known."));
    return;
  }
  const noise = sites.filter((s) => s.after !== null).map((s) => s.after);
  const low = quantile(noise, 0);
  const high = Math.max(quantile(noise, 0.98), low * 1.01);
  const row = html("div", { class: "shanks" });
  for (const [number, mine] of shanks(sites.filter((s) => s.x !== null))) {
    const text = widest(mine.map((s) => s.label), 12);
    const at = placed(mine, text + 30, 16, 2400);
    const left = 48;
    const top = 44;
    const width = left + at.width + text + 30;
    const height = top + at.height + 22;
    const made = canvas(width, height, `shank ${number}: ${mine.length} sites with their channel labels`);
    made.append(svg("text", { class: "heading", x: 4, y: 14 }, `shank ${number}`));
    const y = linear(at.high, at.low, top, top + at.height);
    const marks = at.high > at.low ? ticks(at.low, at.high, Math.max(at.height / 50, 1)) : [at.low];
    made.append(svg("text", { class: "title", x: 4, y: 31 }, "y (µm)"));
    yAxis(made, y, marks, left - 12, "", top - 6, top + at.height + 6);
    for (const s of mine) {
      const cx = left + at.x(s);
      const cy = top + at.y(s);
      const group = svg("g", { class: `site ${s.state}` });
      if (s.column === null) {
        group.append(svg("path", { class: "cross", d: `M${cx - 4} ${cy - 4}l8 8m0 -8l-8 8` }));
      } else {
        const fill = s.after === null ? "none" : ramp((s.after - low) / (high - low));
        group.append(svg("circle", { cx, cy, r: 5.5, fill }));
      }
      const mark = s.state === "suspicious" ? "!" : "";
      group.append(svg("text", { class: "name", x: cx + 10, y: cy + 4 }, s.label + mark));
      const level = s.after === null ? "" : `, noise ${fmt(s.after)} µV`;
      const site = s.site ? `, site ${s.site}` : "";
      group.append(svg("title", {}, `${s.label}${site}, at (${fmt(s.x)}, ${fmt(s.y)}) µm${level}${s.reason ? `: ${s.reason}` : ""}`));
      made.append(group);
    }
    row.append(made);
  }
  place.append(row);
  if (noise.length) place.append(legend(low, high));
}

function legend(low, high) {
  const made = canvas(300, 46, `colours: noise from ${fmt(low)} to ${fmt(high)} µV`);
  for (let k = 0; k < 60; k += 1) {
    made.append(svg("rect", { x: 6 + k * 4, y: 4, width: 4.5, height: 10, fill: ramp(k / 59) }));
  }
  const x = linear(low, high, 6, 246);
  for (const value of [low, (low + high) / 2, high]) {
    const end = value === low ? "start" : value === high ? "end" : "middle";
    made.append(svg("text", { class: "label", x: x(value), y: 27, "text-anchor": end }, fmt(value)));
  }
  made.append(svg("text", { class: "title", x: 126, y: 42, "text-anchor": "middle" }, "noise after stage 1 (µV)"));
  return made;
}
