// Values of curves under the pointer, and by the arrow keys.

function pointer(drawn, figure, shown, names, axis, { x, y, frame, up }) {
  const tip = html("div", { class: "tip", role: "status", hidden: true });
  const ring = svg("circle", { r: 6, class: "ring", visibility: "hidden" });
  drawn.append(ring);
  const points = shown.map((curve) => curvePoints(curve, axis));
  const places = points.flatMap((line, curve) => line.map((point, index) => ({ curve, index, point })))
    .filter(({ point }) => drawable(up, point.middle));
  let at = null;
  const hide = () => {
    tip.hidden = true;
    ring.setAttribute("visibility", "hidden");
  };
  const show = (found) => {
    at = found;
    const [left, top] = [x(found.point.count), y(found.point.middle)];
    ring.setAttribute("class", `ring ${seriesClass(names, shown[found.curve].name)}`);
    ring.setAttribute("cx", left);
    ring.setAttribute("cy", top);
    ring.setAttribute("visibility", "visible");
    tip.replaceChildren(...tipLines(figure, shown[found.curve], found.point, axis));
    tip.hidden = false;
    const width = drawn.clientWidth;
    tip.style.left = `${Math.max(0, left + 14 + 220 > width ? left - 234 : left + 14)}px`;
    tip.style.top = `${Math.max(0, top - 10)}px`;
  };
  drawn.addEventListener("pointermove", (event) => {
    const box = drawn.getBoundingClientRect();
    const distance = ({ point }) => Math.hypot(x(point.count) - (event.clientX - box.left), y(point.middle) - (event.clientY - box.top));
    const nearest = places.reduce((best, each) => (best && distance(best) <= distance(each) ? best : each), null);
    if (nearest && distance(nearest) < 60) show(nearest);
    else hide();
  });
  drawn.addEventListener("pointerleave", hide);
  drawn.addEventListener("blur", hide);
  drawn.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "Escape") hide();
    if (!(event.key in moves) || !places.length) return;
    event.preventDefault();
    const [curve, index] = at ? [at.curve + moves[event.key][0], at.index + moves[event.key][1]] : [0, 0];
    const line = places.filter((each) => each.curve === Math.min(Math.max(curve, 0), shown.length - 1));
    if (line.length) show(line[Math.min(Math.max(index, 0), line.length - 1)]);
  });
  return tip;
}

function tipLines(figure, curve, point, axis) {
  const interval = Number.isFinite(point.lower)
    ? ` [${shortNumber(point.lower)}, ${shortNumber(point.upper)}]` : " (no interval)";
  return [
    html("strong", {}, curve.name),
    html("div", {}, `${figure.label}: ${shortNumber(point.middle)}${interval}`),
    html("div", {}, `${figure.axes[axis].replace(/ \(.*/, "")}: ${shortNumber(point.count, 6)}`),
  ];
}
