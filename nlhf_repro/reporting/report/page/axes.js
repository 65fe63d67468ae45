// Scales, ticks and the frame of a chart.

// kind: linear, log, or symlog, which is linear below `threshold` and has a place for zero.
function scaled(kind, low, high, threshold) {
  const steps = {
    linear: (x) => x,
    log: (x) => Math.log10(x),
    symlog: (x) => (x <= threshold ? (0.35 * x) / threshold : 0.35 + Math.log10(x / threshold)),
  };
  const [start, end] = [steps[kind](low), steps[kind](high)];
  const span = end - start || 1;
  return { kind, low, high, threshold, at: (x) => (steps[kind](x) - start) / span };
}

function ticksOf(scale, count) {
  if (scale.kind === "linear") return linearTicks(scale.low, scale.high, count);
  const from = Math.ceil(Math.log10(scale.kind === "symlog" ? scale.threshold : scale.low) - 1e-9);
  const to = Math.floor(Math.log10(scale.high) + 1e-9);
  const step = Math.max(1, Math.ceil((to - from + 1) / count));
  const exponents = [];
  for (let each = from; each <= to; each += step) exponents.push(each);
  const zero = scale.kind === "symlog" && scale.low <= 0 ? [{ value: 0, text: "0" }] : [];
  if (exponents.length < 3) return [...zero, ...narrowTicks(scale, count)];
  return [...zero, ...exponents.map((each) => ({ value: 10 ** each, text: decade(each) }))];
}

// Few decades: 1, 2 and 5 times the powers of ten.
function narrowTicks(scale, count) {
  const low = scale.kind === "symlog" ? scale.threshold : scale.low;
  const found = [];
  for (let each = Math.floor(Math.log10(low)); each <= Math.ceil(Math.log10(scale.high)); each += 1) {
    for (const factor of [1, 2, 5]) found.push(factor * 10 ** each);
  }
  const inside = found.filter((x) => x >= low * 0.999 && x <= scale.high * 1.001);
  if (inside.length < 2) return linearTicks(low, scale.high, count);
  return inside.map((value) => ({ value, text: shortNumber(value, 2) }));
}

function decade(exponent) {
  return exponent >= -2 && exponent <= 4 ? shortNumber(10 ** exponent) : powerOfTen(exponent);
}

function linearTicks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1) || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((x) => x * unit).find((x) => x >= rough);
  const found = [];
  for (let each = Math.ceil(low / step - 1e-9); each * step <= high + step * 1e-9; each += 1) {
    found.push({ value: each * step, text: shortNumber(Number((each * step).toPrecision(12))) });
  }
  return found;
}

function spanOf(values) {
  const known = values.filter(Number.isFinite);
  return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
}

// Redraws with the width that there is, so that letters keep their size.
function responsive(draw) {
  const box = html("div", { class: "chart" });
  let width = 0;
  const redraw = () => { if (width) box.replaceChildren(...[draw(width)].flat()); };
  new ResizeObserver((entries) => {
    const found = Math.floor(entries[0].contentRect.width);
    if (found && found !== width) {
      width = found;
      redraw();
    }
  }).observe(box);
  return { box, redraw };
}

function horizontalAxis(scale, place, frame, label) {
  const count = Math.max(2, Math.floor((frame.right - frame.left) / 80));
  return svg(
    "g",
    { class: "axis" },
    ticksOf(scale, count).map(({ value, text }) => [
      svg("line", { x1: place(value), x2: place(value), y1: frame.top, y2: frame.bottom, class: "grid" }),
      svg("text", { x: place(value), y: frame.bottom + 16, "text-anchor": "middle" }, text),
    ]),
    svg(
      "text",
      { x: (frame.left + frame.right) / 2, y: frame.bottom + 36, "text-anchor": "middle", class: "title" },
      label,
    ),
  );
}

function verticalAxis(scale, place, frame) {
  return svg(
    "g",
    { class: "axis" },
    ticksOf(scale, 6).map(({ value, text }) => [
      svg("line", { x1: frame.left, x2: frame.right, y1: place(value), y2: place(value), class: "grid" }),
      svg("text", { x: frame.left - 6, y: place(value) + 4, "text-anchor": "end" }, text),
    ]),
  );
}
