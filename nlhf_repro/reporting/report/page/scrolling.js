// A box in which a table scrolls, which tells where more of it lies than can be seen.

function scrolling(label, grid) {
  const cue = html("p", { class: "aside screen cue", id: fresh("cue"), hidden: true });
  const view = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label, "aria-describedby": cue.id }, grid);
  const frame = html("div", { class: "edges" }, view);
  const update = () => {
    const { right, down } = hiddenParts(view);
    frame.classList.toggle("right", right > view.scrollLeft + 1);
    frame.classList.toggle("down", down > view.scrollTop + 1);
    cue.hidden = !(right > 1 || down > 1);
    cue.textContent = cue.hidden ? "" : cueText(grid, right > 1, down > 1);
  };
  view.addEventListener("scroll", update, { passive: true });
  const watch = new ResizeObserver(update);
  watch.observe(view);
  watch.observe(grid);
  return html("div", {}, cue, frame);
}

// How far the box scrolls both ways.
function hiddenParts(view) {
  return { right: view.scrollWidth - view.clientWidth, down: view.scrollHeight - view.clientHeight };
}

function cueText(grid, right, down) {
  const rows = [...grid.tBodies[0].rows].filter((row) => !row.hidden).length;
  const columns = grid.tHead.rows[0].cells.length;
  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const ways = [down ? "down" : null, right ? "to the right" : null].filter((x) => x).join(" and ");
  return `${count(rows, "row")}, ${count(columns, "column")}; scroll ${ways} for more`;
}
