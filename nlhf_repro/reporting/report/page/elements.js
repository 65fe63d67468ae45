// Elements from data: whatever comes from a record becomes a text node or an inert attribute.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

function html(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

// Numbers of the document: null is NaN, and infinities are words.
function numeric(value) {
  return value === null || value === undefined ? NaN : Number(value);
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079";

function powerOfTen(exponent) {
  const digits = [...String(Math.abs(exponent))].map((x) => SUPERSCRIPTS[Number(x)]).join("");
  return "10" + (exponent < 0 ? "\u207b" : "") + digits;
}

// A number for axes and tips; tables print the text of their cells.
function shortNumber(value, digits = 4) {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5) return COMPACT.format(value);
  if (size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(Math.max(digits - 2, 0)).split("e");
    return `${Number(mantissa)}e${exponent}`.replaceAll("-", "\u2212");
  }
  return String(Number(value.toPrecision(digits))).replace("-", "\u2212");
}

// A share, as 1 or 0 only where it is.
function shareText(value) {
  if (value > 0.99 && value < 1) return "> 0.99";
  if (value < 0.01 && value > 0) return "< 0.01";
  return value.toFixed(2);
}

let identifiers = 0;

function fresh(prefix) {
  identifiers += 1;
  return `${prefix}-${identifiers}`;
}

// A labelled select; `options` are [value, text].
function chooser(label, options, chosen, changed) {
  const id = fresh("choose");
  const select = html(
    "select",
    { id, change: () => changed(select.value) },
    options.map(([value, text]) => html("option", { value, selected: value === chosen }, text)),
  );
  return html("span", { class: "control" }, html("label", { for: id }, label), select);
}

// A search field that tells how much it leaves; `changed` returns that sentence.
function searchField(label, changed) {
  const id = fresh("search");
  const found = html("output", { for: id, "aria-live": "polite" });
  const show = () => { found.textContent = changed(words(field.value)); };
  const field = html("input", { id, type: "search", autocomplete: "off", spellcheck: "false", input: show });
  return html("span", { class: "control" }, html("label", { for: id }, label), field, found);
}

// A box to tick; `changed` is told whether it is.
function switchBox(label, checked, changed) {
  const id = fresh("switch");
  const box = html("input", { type: "checkbox", id, checked, change: () => changed(box.checked) });
  return html("span", { class: "control" }, box, html("label", { for: id }, label));
}

function words(text) {
  return text.toLowerCase().split(/\s+/).filter((word) => word);
}

function holds(text, sought) {
  const whole = text.toLowerCase();
  return sought.every((word) => whole.includes(word));
}

function folded(summary, build, open = false) {
  const box = html("details", { open }, html("summary", {}, summary));
  let built = false;
  const fill = () => {
    if (!box.open || built) return;
    built = true;
    box.append(build());
  };
  box.addEventListener("toggle", fill);
  fill();
  return box;
}

function listed(items, name = "ul") {
  return html(name, {}, items.map((item) => html("li", {}, item)));
}
