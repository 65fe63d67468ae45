// Tables that sort, filter, and give their CSV file as it was written.

const ARROWS = { none: "\u2195", ascending: "\u2191", descending: "\u2193" };

function dataTable(table) {
  const body = html("tbody", {}, table.rows.map((row, index) => tableLine(table, row, index)));
  const lines = [...body.rows];
  const heads = table.header.map((name, column) =>
    columnHead(name, column, (order) => sortLines(body, lines, table, column, order)),
  );
  heads.forEach((head) => head.addEventListener("sorted", () => {
    heads.filter((other) => other !== head).forEach((other) => mark(other, "none"));
  }));
  const grid = html(
    "table",
    { "data-table": table.name },
    html("caption", {}, html("div", {}, html("strong", {}, table.title), table.caption ? ` ${table.caption}` : "")),
    html("thead", {}, html("tr", {}, heads)),
    body,
  );
  return html(
    "div",
    { class: "table" },
    html("div", { class: "controls" }, lines.length > 1 ? lineFilter(lines) : null, csvButton(table)),
    scrolling(table.title, grid),
    table.notes.length ? folded("How to read this table", () => listed(table.notes)) : null,
  );
}

function tableLine(table, row, index) {
  const cells = row.cells.map((cell, place) => tableCell(cell, table.header[place + 1]));
  return html("tr", { "data-index": index }, html("th", { scope: "row" }, row.label), cells);
}

function tableCell(cell, header) {
  const number = cell.estimate !== undefined;
  return html(
    "td",
    {
      class: number ? "number" : cell.text.length > 32 ? "long" : "short",
      title: cell.note ? `${header}: ${cell.note}` : null,
      "data-estimate": cell.estimate,
      "data-lower": cell.lower,
      "data-upper": cell.upper,
      "data-p": cell.p,
    },
    cell.best ? html("strong", {}, cell.text) : cell.text,
  );
}

function columnHead(name, column, sort) {
  const arrow = html("span", { class: "arrow", "aria-hidden": "true" }, ARROWS.none);
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  const head = html("th", { scope: "col", "aria-sort": "none", class: name.length > 18 ? "wide" : null });
  head.append(
    html(
      "button",
      {
        type: "button",
        click: () => {
          const order = next[head.getAttribute("aria-sort")];
          mark(head, order);
          head.dispatchEvent(new Event("sorted"));
          sort(order);
        },
      },
      name,
      " ",
      arrow,
    ),
  );
  return head;
}

function mark(head, order) {
  head.setAttribute("aria-sort", order);
  head.querySelector(".arrow").textContent = ARROWS[order];
}

// By the estimate where a column has one, else by the text; what has no number stands last.
function sortLines(body, lines, table, column, order) {
  const cellOf = (line) => table.rows[Number(line.dataset.index)].cells[column - 1];
  const numbers = column > 0 && table.rows.some((row) => row.cells[column - 1].estimate !== undefined);
  const text = (line) => line.cells[column].textContent;
  const sign = order === "descending" ? -1 : 1;
  const compare = (first, second) => {
    if (!numbers) return sign * text(first).localeCompare(text(second), "en", { numeric: true });
    const [a, b] = [first, second].map((line) => numeric(cellOf(line).estimate));
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return sign * (a - b);
  };
  body.append(...(order === "none" ? lines : [...lines].sort(compare)));
}

function lineFilter(lines) {
  return searchField("Filter rows", (sought) => {
    lines.forEach((line) => { line.hidden = !holds(line.textContent, sought); });
    const left = lines.filter((line) => !line.hidden).length;
    return sought.length ? `${left} of ${lines.length} rows` : "";
  });
}

function csvButton(table) {
  const download = () => {
    const address = URL.createObjectURL(new Blob([table.csv], { type: "text/csv" }));
    html("a", { href: address, download: `${table.name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
  const label = `Download ${table.title} as CSV`;
  return html("button", { type: "button", click: download, "aria-label": label }, "CSV");
}

// A table of plain texts, the alternative to a figure.
function plainTable(caption, header, rows) {
  return scrolling(
    caption,
    html(
      "table",
      { class: "plain" },
      html("caption", {}, html("div", {}, caption)),
      html("thead", {}, html("tr", {}, header.map((name) => html("th", { scope: "col" }, name)))),
      html(
        "tbody",
        {},
        rows.map(([label, ...rest]) =>
          html("tr", {}, html("th", { scope: "row" }, label), rest.map((x) => html("td", { class: "number" }, x))),
        ),
      ),
    ),
  );
}
