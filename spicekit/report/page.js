"use strict";
// Has Vega-Lite draw the charts in the colours of the page, offers them as files, and makes the tables sort and filter.
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6e6e6e", "#8c6d1f", "#7b4fc9", "#b0183b", "#4a6b12", "#00838f"];
const DARK = ["#56b4e9", "#ff9457", "#2fc99c", "#e6a3c6", "#f2c14e", "#a5d8ff", "#b5b5b5", "#d3b45c", "#b79cf0", "#ff7b92", "#a8cc5c", "#4dd0e1"];

function config(dark, longest) {
  const ink = dark ? "#e8ebef" : "#1b1f24", soft = dark ? "#aab2bd" : "#545c66", line = dark ? "#3a414a" : "#e1e5ea";
  return {
    background: null, font: "system-ui, sans-serif", aria: false, view: {stroke: null},
    axis: {labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, labelFlush: false},
    axisX: {tickCount: {expr: "max(4, floor(room / 90))"}},
    legend: {labelColor: ink, titleColor: ink, orient: "top", columns: {expr: `room < 480 ? 1 : clamp(floor(room / ${6.5 * longest + 36}), 1, 8)`}, labelFontSize: 12, symbolOpacity: 1, labelLimit: 0, symbolLimit: 0},
    header: {labelColor: ink, titleColor: ink}, title: {color: ink}, text: {color: ink}, rule: {color: ink}, tick: {color: ink},
    range: {category: dark ? DARK : LIGHT, heatmap: RAMP, ramp: RAMP},
  };
}

const RAMP = ["#5a6f96", "#3f8fb0", "#3fae8f", "#a3c14a", "#f0c419"];  // seen on white and on black

const PAPER = 680;  // px that A4 leaves a chart, with the margins of page.css

const wantsDark = matchMedia("(prefers-color-scheme: dark)"), views = new Map();

function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

function longestName(spec, rows, fields) {  // of a legend, which has as many columns as it leaves room for
  const named = [...JSON.stringify(spec).matchAll(/"(?:color|fill|shape)":\{"field":"([^"]+)"/g)].map((found) => fields.indexOf(found[1]));
  const places = named.filter((place) => place >= 0);
  return Math.max(places.length ? 0 : 18, ...rows.flatMap((row) => places.map((place) => String(row[place] ?? "").length)));
}

async function draw(holder, dark) {
  const {spec, fields, rows} = await unpacked(holder.parentElement.querySelector("script").textContent);
  spec.data.values = rows.map((row) => Object.fromEntries(fields.map((name, place) => [name, row[place]])));
  spec.params = [...(spec.params ?? []), {name: "room", value: holder.clientWidth}];  // as Vega's width, but with the axes
  const {view} = await spicekit.embed(holder, spec, {
    mode: "vega-lite", actions: false, defaultStyle: false, ast: true, expr: spicekit.expressionInterpreter,
    renderer: rows.length > 1500 ? "canvas" : "svg", config: config(dark, longestName(spec, rows, fields)),
    tooltip: {disableDefaultStyle: true, theme: "page"},
  });
  holder.querySelector("svg, canvas").setAttribute("aria-hidden", "true");  // the holder is named as a whole
  views.set(holder, {view, rows: spec.data.values});
}

function drawAll(dark) {
  document.body.dataset.dark = dark ? "yes" : "no";  // what is printed is on white: no drawing is awaited then
  return Promise.all([...document.querySelectorAll(".chart")].map((holder) => draw(holder, dark)));
}

const drawn = drawAll(wantsDark.matches).then(() => { document.body.dataset.drawn = "yes"; });
wantsDark.addEventListener("change", () => drawAll(wantsDark.matches));
function layOut(width) {  // all charts, for their holders or for a width in px
  views.forEach(({view}, holder) => view.signal("width", width ?? holder.clientWidth).signal("room", width ?? holder.clientWidth).run());
}

addEventListener("beforeprint", () => layOut(PAPER));
addEventListener("afterprint", () => layOut());
addEventListener("resize", () => layOut());

function save(name, url) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

function csv(rows) {
  const heads = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => {
    const text = value == null ? "" : typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [heads, ...rows.map((row) => heads.map((head) => row[head]))].map((line) => line.map(cell).join(",")).join("\r\n");
}

for (const button of document.querySelectorAll(".tools button")) {
  button.addEventListener("click", async () => {
    const holder = button.closest("section").querySelector(".chart"), {view, rows} = views.get(holder);
    const kind = button.dataset.as, name = `${holder.dataset.name}.${kind}`;
    if (kind === "csv") {
      save(name, URL.createObjectURL(new Blob([csv(rows)], {type: "text/csv"})));
    } else {
      view.background(getComputedStyle(document.body).getPropertyValue("--card"));
      save(name, await view.toImageURL(kind, 2));
    }
  });
}

for (const table of document.querySelectorAll("[data-table] table")) {
  const heads = [...table.tHead.rows[0].cells], title = table.closest("section").querySelector("h2").textContent;
  new spicekit.DataTable(table, {
    paging: false, searchAnd: true, searchable: table.tBodies[0].rows.length > 12, fixedColumns: false, scrollY: "",
    columns: heads.flatMap((head, place) => head.dataset.type === "number" ? [{select: place, type: "number"}] : [{select: place, type: "string"}]),
    labels: {placeholder: "Filter rows", searchTitle: `Filter rows of: ${title}`, noRows: "nothing", noResults: "no row has this"},
  });
}
