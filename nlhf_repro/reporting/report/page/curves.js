// Learning curves and grids: means with their bands, over an axis that the reader chooses.

const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
const PALETTE = 7;
const BANDED = 6; // curves, above which bands hide each other and are drawn when asked for
const QUARTILED = 4; // curves of a panel, above which quartiles hide the means and are not drawn
const MARKED = 8; // points of a curve, up to which they are marked
const LABELLED = 14; // curves, above which names stand in the legend alone

function curves(section) {
  const { figures } = section;
  if (!figures.length) return null;
  const state = { figure: figures[0], axis: figures[0].axis, hidden: new Set(), bands: null };
  const box = html("div");
  const show = () => box.replaceChildren(...curveFigure(state, show));
  const choices = figures.map((figure, index) => [String(index), figure.title]);
  show();
  return html(
    "figure",
    { class: "curves" },
    html("div", { class: "controls" }, chooser("Show", choices, "0", (index) => {
      const before = state.axis;
      state.figure = figures[Number(index)];
      state.axis = before in state.figure.axes ? before : state.figure.axis;
      state.hidden.clear();
      state.bands = null;
      show();
    })),
    box,
  );
}

function curveFigure(state, show) {
  const { figure } = state;
  const names = [...new Set(figure.panels.flatMap((panel) => panel.curves.map((curve) => curve.name)))];
  const charts = [];
  if (state.bands === null) state.bands = names.length <= BANDED;
  const redraw = () => charts.forEach((chart) => chart.redraw());
  const panels = figure.panels.map((panel) => {
    const chart = responsive((width) => panelChart(figure, panel, names, state, width));
    charts.push(chart);
    const lacking = panel.left_out.length
      ? html("p", { class: "aside" }, `Not drawn: ${panel.left_out.join("; ")}`) : null;
    return html("div", { class: "panel" }, panel.title ? html("h4", {}, panel.title) : null, chart.box, lacking);
  });
  const axes = Object.entries(figure.axes);
  const axis = axes.length > 1
    ? chooser("Over", axes, state.axis, (chosen) => {
      state.axis = chosen;
      redraw();
    }) : null;
  const bands = figure.scale === "auto"
    ? switchBox(figure.panels.some(quartiled) ? "Bands and quartiles" : "Bands", state.bands, (wanted) => {
      state.bands = wanted;
      redraw();
    }) : null;
  const thinned = figure.thinned ? ` At most ${figure.thinned} of the recorded points are drawn.` : "";
  return [
    html("figcaption", {}, html("strong", {}, figure.title), ` (${figure.reading}.${thinned})`),
    html("div", { class: "controls" }, axis, bands),
    html("div", { class: "panels" }, panels),
    legend(names, state, redraw),
    html("p", { class: "aside screen" }, "Arrow keys on a focused chart walk along its points; Up and Down change the curve."),
    folded("The figure as a table", () => curveTable(figure, state)),
  ].filter((x) => x);
}

function quartiled(panel) {
  return panel.curves.length <= QUARTILED && panel.curves.some((curve) => curve.runs > 1);
}

function seriesClass(names, name) {
  return `series c${names.indexOf(name) % PALETTE}`;
}

function dashOf(names, name) {
  return DASHES[Math.floor(names.indexOf(name) / PALETTE) % DASHES.length] || null;
}

function legend(names, state, redraw) {
  const entries = names.map((name) => {
    const button = html(
      "button",
      {
        type: "button",
        "aria-pressed": "true",
        class: seriesClass(names, name),
        click: () => {
          if (!state.hidden.delete(name)) state.hidden.add(name);
          button.setAttribute("aria-pressed", String(!state.hidden.has(name)));
          redraw();
        },
      },
      svg("svg", { width: 26, height: 10, "aria-hidden": "true" },
        svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: "line", "stroke-dasharray": dashOf(names, name) })),
      name,
    );
    return html("li", {}, button);
  });
  return html("ul", { class: "legend", "aria-label": "Curves: press to hide or show" }, entries);
}

function curveTable(figure, state) {
  const rows = figure.panels.flatMap((panel) => panel.curves.flatMap((curve) =>
    curve.middle.map((middle, point) => [
      panel.title ? `${panel.title}: ${curve.name}` : curve.name,
      ...[curve.counts[state.axis][point], middle, curve.lower[point], curve.upper[point]]
        .map((x) => (x === null ? "not estimable" : shortNumber(Number(x), 6))),
    ]),
  ));
  return plainTable(figure.title, ["row", figure.axes[state.axis], figure.label, "lower", "upper"], rows);
}

// --- one chart

function panelChart(figure, panel, names, state, width) {
  const shown = panel.curves.filter((curve) => !state.hidden.has(curve.name));
  const labelled = width >= 620 && names.length <= LABELLED;
  const longest = Math.max(0, ...panel.curves.map((curve) => Math.min(curve.name.length, 34)));
  const frame = { left: 58, right: width - (labelled ? 7.4 * longest + 22 : 14), top: 28, bottom: 330 };
  const across = countScale(figure, panel, shown, state.axis);
  const up = heightScale(panel, shown);
  const x = (value) => frame.left + across.at(value) * (frame.right - frame.left);
  const y = (value) => frame.bottom - up.at(value) * (frame.bottom - frame.top);
  const clip = fresh("clip");
  const marks = shown.map((curve) => curveMarks(figure, curve, names, state, { x, y, frame, up, quartiles: quartiled(panel) }));
  const drawn = svg(
    "svg",
    {
      viewBox: `0 0 ${width} 376`, width, height: 376, tabindex: "0", role: "img",
      "aria-label": `${figure.title} ${panel.title} over ${figure.axes[state.axis]}, ${shown.length} curves; its numbers stand in the table below.`,
    },
    svg("clipPath", { id: clip }, svg("rect", {
      x: frame.left, y: frame.top, width: Math.max(frame.right - frame.left, 1), height: frame.bottom - frame.top + 1,
    })),
    verticalAxis(up, y, frame),
    horizontalAxis(across, x, frame, figure.axes[state.axis].replace(/ \(.*/, "")),
    svg("text", { x: 4, y: 14, class: "title" }, figure.label + (panel.logarithmic ? " (log scale)" : "")),
    svg("g", { "clip-path": `url(#${clip})` }, marks),
    panel.lines.map((line) => referenceLine(line, { x, y, frame, up, across }, state.axis)),
    labelled ? directLabels(shown, names, y, up, frame) : null,
  );
  return [drawn, pointer(drawn, figure, shown, names, state.axis, { x, y, frame, up })];
}

function countScale(figure, panel, shown, axis) {
  const counts = shown.flatMap((curve) => curve.counts[axis]).map(numeric).filter(Number.isFinite);
  const positive = counts.filter((count) => count > 0);
  const [low, high] = counts.length ? spanOf(counts) : [0, 1];
  const least = positive.length ? Math.min(...positive) : 1;
  const grid = figure.scale !== "auto";
  const wanted = grid ? figure.scale : panel.logarithmic ? "symlog" : "linear";
  if (wanted !== "linear" && positive.length && high > least && low >= 0) {
    return scaled(low > 0 ? "log" : "symlog", low, high, least);
  }
  return scaled("linear", grid ? low : Math.min(0, low), high > low || high > 0 ? high : 1);
}

function heightScale(panel, shown) {
  const usable = (x) => Number.isFinite(x) && (!panel.logarithmic || x > 0);
  const middles = shown.flatMap((curve) => curve.middle).map(numeric).filter(usable);
  const ends = shown.flatMap((curve) => [...curve.lower, ...curve.upper]).map(numeric).filter(usable);
  const fixed = panel.lines.filter((line) => !line.counts.length).map((line) => numeric(line.heights[0])).filter(usable);
  let [low, high] = spanOf([...middles, ...ends, ...fixed]);
  if (!panel.logarithmic) {
    const space = (high - low || Math.abs(high) || 1) * 0.06;
    return scaled("linear", low - space, high + space);
  }
  if (!middles.length) return scaled("log", 0.1, 1);
  const [least, most] = spanOf(middles); // bands of few runs may span more than can be drawn
  [low, high] = [Math.max(low, least / 1e4), Math.min(high, most * 1e4)];
  if (low === high) [low, high] = [low / 2, high * 2];
  return scaled("log", low / 1.3, high * 1.3);
}

function drawable(up, value) {
  return Number.isFinite(value) && (up.kind === "linear" || value > 0);
}

function curveMarks(figure, curve, names, state, { x, y, frame, up, quartiles }) {
  const points = curvePoints(curve, state.axis);
  const level = points.length > 1 && points[0].count === points[points.length - 1].count;
  const path = (key) => points.filter((point) => drawable(up, point[key]))
    .map((point, index) => `${index ? "L" : "M"}${x(point.count).toFixed(1)} ${y(point[key]).toFixed(1)}`).join("");
  const last = points[points.length - 1];
  const dash = dashOf(names, curve.name);
  if (level) {
    return svg("g", { class: seriesClass(names, curve.name) }, svg("line", {
      x1: frame.left, x2: frame.right, y1: y(last.middle), y2: y(last.middle), class: "line", "stroke-dasharray": dash,
    }));
  }
  const grid = figure.scale !== "auto";
  return svg(
    "g",
    { class: seriesClass(names, curve.name) },
    grid || !state.bands ? null : bandPath(points, x, y, up),
    grid ? intervalBars(points, x, y, up) : null,
    quartiles && curve.runs > 1 && !grid && state.bands ? ["first", "third"].map((key) => svg("path", { d: path(key), class: "quartile" })) : null,
    svg("path", { d: path("middle"), class: "line", "stroke-dasharray": dash }),
    grid || points.length <= MARKED
      ? points.filter((point) => drawable(up, point.middle)).map((point) =>
        svg("circle", { cx: x(point.count), cy: y(point.middle), r: 3.2, class: "dot" })) : null,
  );
}

function curvePoints(curve, axis) {
  return curve.middle.map((middle, index) => ({
    count: numeric(curve.counts[axis][index]),
    middle: numeric(middle),
    lower: numeric(curve.lower[index]),
    upper: numeric(curve.upper[index]),
    first: numeric(curve.quartiles[0][index]),
    third: numeric(curve.quartiles[1][index]),
  }));
}

function bandPath(points, x, y, up) {
  const floor = up.kind === "log" ? up.low / 10 : -Infinity;
  const known = points.filter((point) => Number.isFinite(point.lower) && Number.isFinite(point.upper));
  if (known.length < 2) return null;
  const corner = (point, key) => `${x(point.count).toFixed(1)} ${y(Math.max(point[key], floor)).toFixed(1)}`;
  const outline = [...known.map((point) => corner(point, "upper")), ...known.reverse().map((point) => corner(point, "lower"))];
  return svg("path", { d: `M${outline.join("L")}Z`, class: "band" });
}

function intervalBars(points, x, y, up) {
  return points.filter((point) => drawable(up, point.lower) && drawable(up, point.upper)).map((point) =>
    svg("line", { x1: x(point.count), x2: x(point.count), y1: y(point.lower), y2: y(point.upper), class: "bar" }));
}

function referenceLine(line, { x, y, frame, up, across }, axis) {
  if (line.counts.length && axis !== "updates" && axis !== "grid") return null;
  const heights = line.heights.map(numeric);
  const fits = (index) => drawable(up, heights[index]) && line.counts[index] <= across.high;
  const indices = line.counts.map((count, index) => index).filter(fits);
  if (line.counts.length && !indices.length) return null;
  const path = line.counts.length
    ? indices.map((i, n) => `${n ? "L" : "M"}${x(line.counts[i])} ${y(heights[i])}`).join("")
    : `M${frame.left} ${y(heights[0])}H${frame.right}`;
  const height = line.counts.length ? heights[indices[0]] : heights[0];
  return svg("g", { class: "reference" },
    svg("path", { d: path }),
    svg("text", { x: frame.left + 6, y: Math.max(y(height) - 4, frame.top + 10) }, line.name));
}

// Names at the ends of the curves, pushed apart where they would overlap.
function directLabels(shown, names, y, up, frame) {
  const ends = shown.map((curve) => ({
    name: curve.name,
    end: curve.middle.map(numeric).filter((x) => drawable(up, x)).map(y).pop(),
  })).filter(({ end }) => end !== undefined).sort((a, b) => a.end - b.end);
  let free = frame.top;
  ends.forEach((each) => {
    each.place = Math.max(each.end, free);
    free = each.place + 13;
  });
  let lowest = frame.bottom + 4;
  [...ends].reverse().forEach((each) => {
    each.place = Math.min(each.place, lowest);
    lowest = each.place - 13;
  });
  return svg("g", { class: "labels" }, ends.map(({ name, end, place }) =>
    svg("g", { class: seriesClass(names, name) },
      svg("path", { d: `M${frame.right + 2} ${end}L${frame.right + 10} ${place}`, class: "leader" }),
      svg("text", { x: frame.right + 13, y: place + 4 }, name.length > 34 ? `${name.slice(0, 33)}\u2026` : name))));
}
