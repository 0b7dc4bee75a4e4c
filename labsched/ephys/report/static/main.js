"use strict";
// Each drawing in its place; what goes wrong in one leaves the others, and is said where it should be.

function draw(id, how) {
  const place = document.getElementById(id);
  if (!place) return;
  try {
    how(place);
  } catch (error) {
    place.append(html("p", { class: "problems" }, `This cannot be drawn: ${error.message}`));
  }
}

document.querySelectorAll("table.sortable").forEach(sortable);
draw("probe", drawProbe);
draw("traces", drawTraces);
draw("spectra", drawSpectra);
draw("artefact-strip", drawArtefacts);
draw("drift-map", drawDrift);
drawUnits();
document.documentElement.dataset.drawn = "yes";
