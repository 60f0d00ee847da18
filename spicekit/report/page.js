"use strict";
// Sorts tables by the column whose head is clicked; draws charts, in which dragging enlarges and a double click undoes it.
const LEFT = 60, TOP = 10, WIDTH = 825, HEIGHT = 410;

function ticks([low, high]) {
  const rough = (high - low) / 7, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

function add(parent, tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

function range(values) {
  const low = Math.min(...values), high = Math.max(...values), margin = 0.05 * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - margin, high + margin];
}

function chart(drawing) {
  const axes = drawing.querySelector(".axes"), plot = drawing.querySelector("svg"), ground = plot.querySelector("rect");
  const line = plot.querySelector("polyline"), marks = [...plot.querySelectorAll("circle")];
  const corners = line.dataset.corners.split(" ").map((corner) => corner.split(",").map(Number));
  const whole = ["x", "y"].map((name) => range(marks.map((mark) => Number(mark.dataset[name]))));
  for (const [name, value] of Object.entries({x: LEFT, y: TOP, width: WIDTH, height: HEIGHT})) plot.setAttribute(name, value);
  ground.setAttribute("width", WIDTH);
  ground.setAttribute("height", HEIGHT);
  let shown = whole;
  const x = (value) => (value - shown[0][0]) / (shown[0][1] - shown[0][0]) * WIDTH;
  const y = (value) => (shown[1][1] - value) / (shown[1][1] - shown[1][0]) * HEIGHT;

  function draw(ranges) {
    shown = ranges;
    for (const mark of marks) {
      mark.setAttribute("cx", x(Number(mark.dataset.x)));
      mark.setAttribute("cy", y(Number(mark.dataset.y)));
    }
    const steps = corners.flatMap(([right, up], k) => k ? [[right, corners[k - 1][1]], [right, up]] : [[right, up]]);
    line.setAttribute("points", steps.map(([right, up]) => `${x(right)},${y(up)}`).join(" "));
    axes.replaceChildren();
    for (const value of ticks(shown[0])) {
      add(axes, "text", {x: LEFT + x(value), y: TOP + HEIGHT + 18, "text-anchor": "middle"}, value);
    }
    for (const value of ticks(shown[1])) {
      add(axes, "text", {x: LEFT - 6, y: TOP + y(value) + 4, "text-anchor": "end"}, value);
    }
    add(axes, "text", {x: LEFT + WIDTH / 2, y: TOP + HEIGHT + 40, "text-anchor": "middle"}, drawing.dataset.x);
    const middle = TOP + HEIGHT / 2;
    add(axes, "text", {x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})`}, drawing.dataset.y);
  }

  const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
  const data = (point) => [
    shown[0][0] + point.x / WIDTH * (shown[0][1] - shown[0][0]),
    shown[1][1] - point.y / HEIGHT * (shown[1][1] - shown[1][0]),
  ];
  ground.addEventListener("pointerdown", (event) => {
    const start = place(event), frame = add(plot, "rect", {class: "enlarge"});
    let end = start;
    ground.setPointerCapture(event.pointerId);
    ground.onpointermove = (move) => {
      end = place(move);
      frame.setAttribute("x", Math.min(start.x, end.x));
      frame.setAttribute("y", Math.min(start.y, end.y));
      frame.setAttribute("width", Math.abs(end.x - start.x));
      frame.setAttribute("height", Math.abs(end.y - start.y));
    };
    ground.onlostpointercapture = () => {
      ground.onpointermove = ground.onlostpointercapture = null;
      frame.remove();
      if (Math.min(Math.abs(end.x - start.x), Math.abs(end.y - start.y)) < 5) return;
      const [one, other] = [data(start), data(end)];
      draw([0, 1].map((k) => [Math.min(one[k], other[k]), Math.max(one[k], other[k])]));
    };
  });
  drawing.addEventListener("dblclick", () => draw(whole));
  const section = drawing.closest("section"), said = section.querySelector(".said");
  for (const mark of marks) {
    mark.addEventListener("pointerover", () => { said.textContent = mark.textContent; });
  }
  const groups = [...plot.querySelectorAll("g")];
  [...section.querySelectorAll("button")].forEach((button, k) => button.addEventListener("click", () => {
    button.classList.toggle("hidden");
    groups[k].classList.toggle("hidden");
  }));
  draw(whole);
}

function compare(one, other) {
  const difference = Number(one) - Number(other);
  return Number.isNaN(difference) ? one.localeCompare(other) : difference;
}

for (const drawing of document.querySelectorAll("svg.chart")) chart(drawing);
for (const head of document.querySelectorAll(".results th")) {
  let turn = 1;
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0], text = (row) => row.cells[head.cellIndex].textContent;
    body.append(...[...body.rows].sort((one, other) => turn * compare(text(one), text(other))));
    turn = -turn;
  });
}
