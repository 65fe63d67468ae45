// Forest plots: every row's estimate and interval on one axis, beside the text of its cell.

function forest(section) {
  const { table, forest: columns } = section;
  if (!columns.length) return null;
  let chosen = columns[0];
  const title = html("figcaption");
  const chart = responsive((width) => forestChart(table, chosen, width));
  const data = html("div");
  const show = () => {
    title.textContent = `${chosen.header}: estimates with ${percent(section.level)} intervals` +
      (chosen.neutral === null ? "" : `, each against its baseline, not adjusted; dashed: no difference (${chosen.neutral})`);
    chart.redraw();
    data.replaceChildren(forestTable(table, chosen));
  };
  const choices = columns.map((column, index) => [String(index), column.header]);
  show();
  return html(
    "figure",
    { class: "forest" },
    title,
    html("div", { class: "controls" }, chooser("Column", choices, "0", (index) => {
      chosen = columns[Number(index)];
      show();
    })),
    chart.box,
    folded("The figure as a table", () => data),
  );
}

function percent(share) {
  return `${Number((100 * share).toPrecision(6))} %`;
}

function forestCells(table, column) {
  return table.rows.filter((row) => !row.published).map((row) => {
    const cell = row.cells[column.index];
    const [estimate, lower, upper] = [cell.estimate, cell.lower, cell.upper].map(numeric);
    return { label: row.label, cell, estimate, lower, upper };
  });
}

function forestTable(table, column) {
  const rows = forestCells(table, column).map(({ label, cell }) => [label, cell.text]);
  return plainTable(column.header, ["row", column.header], rows);
}

function forestChart(table, column, width) {
  const rows = forestCells(table, column);
  const letters = Math.max(...rows.map((row) => row.label.length), 4);
  const texts = Math.max(...rows.map((row) => row.cell.text.length), 4);
  // Where words would leave the intervals too little, they stand above them.
  const narrow = width < 620 || 7.2 * Math.min(letters, 45) + 6.8 * Math.min(texts, 40) + 32 > 0.62 * width;
  const step = narrow ? 54 : 28;
  const margin = narrow ? 12 : Math.min(width * 0.32, 7.2 * letters + 16);
  const frame = {
    left: margin,
    right: width - (narrow ? 12 : Math.min(width * 0.42, 6.8 * texts + 16)),
    top: 8,
    bottom: 14 + step * rows.length,
  };
  const scale = forestScale(rows, column);
  const place = (x) => frame.left + scale.at(x) * (frame.right - frame.left);
  const drawn = svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${frame.bottom + 48}`,
      width,
      height: frame.bottom + 48,
      role: "img",
      "aria-label": `Forest plot of ${column.header}; its numbers stand in the table below.`,
    },
    horizontalAxis(scale, place, frame, column.header),
    column.neutral === null ? null : svg("line", {
      x1: place(column.neutral), x2: place(column.neutral), y1: frame.top, y2: frame.bottom, class: "neutral",
    }),
    rows.map((row, index) => forestRow(row, frame.top + step * (index + 0.5), { frame, place, scale, narrow, width })),
  );
  return drawn;
}

function forestScale(rows, column) {
  const ends = rows.flatMap(({ estimate, lower, upper }) => [estimate, lower, upper]);
  if (column.neutral !== null) ends.push(column.neutral);
  const known = ends.filter((x) => Number.isFinite(x) && (!column.logarithmic || x > 0));
  let [low, high] = spanOf(known);
  if (!column.logarithmic) {
    const space = (high - low || Math.abs(high) || 1) * 0.05;
    return scaled("linear", low - space, high + space);
  }
  if (low === high) [low, high] = [low / 2, high * 2];
  const space = (high / low) ** 0.05;
  return scaled("log", low / space, high * space);
}

function forestRow(row, y, { frame, place, scale, narrow, width }) {
  const { label, cell, estimate, lower, upper } = row;
  const middle = narrow ? y + 16 : y;
  const inside = (x) => Math.min(Math.max(place(x), frame.left), frame.right);
  const visible = Number.isFinite(estimate) && (scale.kind === "linear" || estimate > 0);
  const interval = visible && !Number.isNaN(lower) && !Number.isNaN(upper);
  const positive = (x) => (scale.kind === "log" ? Math.max(x, scale.low) : x);
  const clipped = (text, room) => (text.length > room ? `${text.slice(0, room - 1)}\u2026` : text);
  const room = narrow ? Math.floor(width / 7) : Math.floor((frame.left - 12) / 7);
  return svg(
    "g",
    { class: cell.level === "checkpoint" ? "row checkpoint" : "row" },
    svg("title", {}, `${label}: ${cell.text}`),
    narrow
      ? svg("text", { x: 4, y: y - 12, class: "label" }, clipped(label, room))
      : svg("text", { x: frame.left - 10, y: y + 4, "text-anchor": "end", class: "label" }, clipped(label, room)),
    svg(
      "text",
      narrow ? { x: 4, y: y + 4, class: "text" } : { x: frame.right + 10, y: y + 4, class: "text" },
      clipped(cell.text, narrow ? Math.floor(width / 6.4) : Math.floor((width - frame.right - 10) / 6.4)),
    ),
    interval ? svg("line", {
      x1: inside(positive(Math.max(lower, -1e300))), x2: inside(Math.min(upper, 1e300)), y1: middle, y2: middle, class: "interval",
    }) : null,
    visible ? svg("circle", { cx: inside(estimate), cy: middle, r: 4.5, class: "point" }) : null,
  );
}
