// The matrix of preferences as a table whose shades say how far from even a pair is.

function matrix(meetings, level) {
  const { table } = meetings;
  const { names, columns, nash } = meetings.matrix;
  const rows = names.map((name, index) => matrixRow(table.rows[index], name, index, columns, nash, 1 - level));
  const heads = names.map((name, index) => html("th", { scope: "col", title: name }, html("abbr", { title: name }, String(index + 1))));
  return html(
    "figure",
    { class: "matrix" },
    html("figcaption", {}, "P(row over column): blue above 1/2, orange below it. A bold number with a triangle is told apart from 1/2 by its adjusted p-value: \u25b2 the row is preferred, \u25bd the column is. The bars are the shares in the mixture that no row beats."),
    scrolling("Preference matrix", html("table", { class: "heat" },
      html("caption", {}, "Preference matrix"),
      html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "row"), heads, html("th", { scope: "col" }, "Nash mixture"))),
      html("tbody", {}, rows))),
  );
}

function matrixRow(row, name, index, columns, nash, significance) {
  const share = row.cells[nash];
  return html(
    "tr",
    {},
    html("th", { scope: "row" }, `${index + 1} ${name}`),
    columns.map((column, place) => (place === index ? html("td", { class: "same" }, "\u2013") : matrixCell(row.cells[column], significance))),
    html("td", { class: "share" }, html("span", { class: "bar", "aria-hidden": "true" }, barOf(numeric(share.estimate))), ` ${share.text}`),
  );
}

function barOf(share) {
  const width = Number.isFinite(share) ? Math.max(0, Math.min(1, share)) * 60 : 0;
  return svg("svg", { width: 62, height: 10 }, svg("rect", { x: 0.5, y: 0.5, width: 61, height: 9, class: "frame" }), svg("rect", { x: 1, y: 1, width, height: 8, class: "filled" }));
}

function matrixCell(cell, significance) {
  const value = numeric(cell.estimate);
  if (Number.isNaN(value)) return html("td", { class: "same" }, cell.text);
  const told = numeric(cell.p) < significance; // adjusted; no number where pairs are not tested
  const side = value > 0.5 ? "over" : value < 0.5 ? "under" : "even";
  const sign = told ? { over: "\u25b2 ", under: "\u25bd " }[side] : "";
  const ends = cell.lower === undefined ? "" : `[${numeric(cell.lower).toFixed(2)}, ${numeric(cell.upper).toFixed(2)}]`;
  const shown = html("td", { class: `heat ${side}${told ? " told" : ""}`, title: cell.text, "data-estimate": cell.estimate },
    html("span", { class: "value" }, `${sign}${value.toFixed(2)}`), html("small", {}, ends));
  shown.style.setProperty("--strength", `${Math.round(Math.min(1, Math.abs(value - 0.5) * 2) * 62 + 4)}%`);
  return shown;
}
