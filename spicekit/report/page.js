"use strict";
// Has Plotly draw the charts, whose points lead to their rows; sorts tables by the column whose head is clicked.
for (const drawing of document.querySelectorAll(".chart")) {
  const {data, layout} = JSON.parse(drawing.dataset.figure);
  Plotly.newPlot(drawing, data, layout, {responsive: true, displayModeBar: false, showSendToCloud: false}).then(() => {
    drawing.on("plotly_click", ({points}) => { location.hash = `row-${points[0].customdata}`; });
  });
}

function compare(one, other) {
  const difference = Number(one) - Number(other);
  return Number.isNaN(difference) ? one.localeCompare(other) : difference;
}

for (const head of document.querySelectorAll(".results th")) {
  let turn = 1;
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0], text = (row) => row.cells[head.cellIndex].textContent;
    body.append(...[...body.rows].sort((one, other) => turn * compare(text(one), text(other))));
    turn = -turn;
  });
}
