"use strict";
// Where along the shank spikes were, over time; and when there were artefacts.

function drawDrift(place) {
  for (const one of data.drift) {
    const t = row(one.t);
    const depth = Array.from(row(one.depth), (v) => v + one.low);
    const size = row(one.size);
    const [low, high] = [Math.min(...depth), Math.max(...depth)];
    const largest = quantile(size, 0.99) || 1;
    const panel = html("div", { class: "panel" });
    place.append(html("h3", {}, `shank ${one.shank}: ${one.shown.toLocaleString("en")} of ${one.spikes.toLocaleString("en")} spikes`), panel);
    fitted(panel, (width) => {
      const tall = Math.min(Math.max((high - low) * 1.2, 140), 420);
      const [left, right, top, bottom] = [58, width - 10, 10, 10 + tall];
      const made = canvas(width, bottom + 42, `drift map of shank ${one.shank}`);
      const x = linear(0, data.seconds, left, right);
      const pad = (high - low) * 0.03 || 5;
      const y = linear(low - pad, high + pad, bottom, top);
      const shades = 6;
      const groups = Array.from({ length: shades }, () => [[], []]);
      for (let k = 0; k < t.length; k += 1) {
        const group = groups[Math.min(Math.floor((size[k] / largest) * shades), shades - 1)];
        group[0].push(x(t[k]));
        group[1].push(y(depth[k]));
      }
      groups.forEach(([xs, ys], k) => {
        const made_ = dots(xs, ys, 1.1, "spike");
        made_.style.stroke = ramp(k / (shades - 1));
        made.append(made_);
      });
      yAxis(made, y, ticks(low - pad, high + pad, tall / 50), left, "depth y (µm)", top, bottom);
      timeAxis(made, x, bottom, left, right, width / 110);
      return [made];
    });
  }
}

function drawArtefacts(place) {
  if (!data.artefacts.length) return;
  const kinds = Array.from(new Set(data.artefacts.map((each) => each[2])));
  const left = widest(kinds) + 16;
  fitted(place, (width) => {
    const right = width - 10;
    const bottom = 8 + kinds.length * 22;
    const made = canvas(width, bottom + 40, "when there were artefacts");
    const x = linear(0, data.seconds, left, right);
    kinds.forEach((kind, k) => {
      const y = 8 + k * 22;
      let d = "";
      for (const [at, seconds] of data.artefacts.filter((each) => each[2] === kind)) {
        d += `M${x(at).toFixed(2)} ${y}h${Math.max(x(at + seconds) - x(at), 1).toFixed(2)}v16H${x(at).toFixed(2)}Z`;
      }
      made.append(svg("path", { class: "artefact", d }));
      made.append(svg("text", { class: "label", x: left - 8, y: y + 12, "text-anchor": "end" }, kind));
    });
    timeAxis(made, x, bottom, left, right, width / 110);
    return [made];
  });
}
