"use strict";
// Tables that sort by a click, or by Enter, on a heading; empty cells always come last.

function sortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort") && !numeric(table, column);
      const sign = rising ? 1 : -1;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const lines = Array.from(table.tBodies[0].rows);
      const value = (line) => line.cells[column].dataset.v;
      lines.sort((a, b) => {
        const [one, other] = [value(a), value(b)];
        if (one === "" || other === "") return (one === "") - (other === "");
        return sign * compared(one, other);
      });
      table.tBodies[0].append(...lines);
    });
  });
}

function compared(one, other) {
  const [a, b] = [Number(one), Number(other)];
  if (Number.isFinite(a) && Number.isFinite(b)) return a - b;
  return one.localeCompare(other, "en", { numeric: true });
}

function numeric(table, column) {
  return Array.from(table.tBodies[0].rows).some((line) => line.cells[column].classList.contains("number"));
}
