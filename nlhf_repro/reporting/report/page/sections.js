// One section: an experiment, from its question to the command that computes it again.

const MARKS = {
  different: ["\u25b2", "shown"],
  undecided: ["\u25cb", "not told apart"],
  checkpoint: ["\u2021", "no claim"],
  refused: ["\u2013", "not compared"],
  none: ["\u00b7", "described"],
};

function section(data) {
  const id = `experiment-${data.name}`.replace(/[^\w-]/g, "-");
  const parts = [];
  const part = (title, ...content) => {
    const found = content.flat().filter((x) => x);
    if (!found.length) return null;
    const anchor = `${id}-${parts.length}`;
    parts.push(html("li", {}, html("a", { href: `#${anchor}` }, title)));
    return html("section", { class: "part", id: anchor, tabindex: "-1" }, html("h3", {}, title), found);
  };
  const shown = sectionParts(data, part);
  return html("section", { class: "experiment", id, "aria-labelledby": `${id}-title` },
    html("h2", { id: `${id}-title` }, data.title),
    html("p", { class: "name" }, "experiment ", html("code", {}, data.name)),
    html("nav", { "aria-label": `Parts of ${data.name}` }, html("ul", { class: "parts" }, parts)),
    shown);
}

function sectionParts(data, part) {
  const tested = data.answers.some(({ kind }) => kind !== "none");
  return [
    part("What was asked", data.asked.map((paragraph) => html("p", { class: "prose" }, paragraph))),
    callout("Read this first", "caution", data.cautions),
    data.row_notes.length
      ? folded(`What benchmarks noted of single rows: verdicts, equal answers, lengths (${data.row_notes.length})`, () => listed(data.row_notes)) : null,
    callout("What lacks", "lacking", data.shortfalls),
    part("The answer", answerList(data.answers),
      tested ? html("p", { class: "aside" }, `Intervals: ${percent(data.level)}, not adjusted; a difference counts as shown by its adjusted p-value.`) : null),
    part("Table", dataTable(data.table)),
    part("Forest plot", forest(data)),
    part("Learning curves", curves(data)),
    data.meetings ? part("Rows against each other", matrix(data.meetings, data.level),
      folded(`Every pair in a sentence (${data.meetings.answers.length - 1})`, () => answerList(data.meetings.answers)),
      dataTable(data.meetings.table)) : null,
    part("Variance components", data.variance.slice(0, 1).map(dataTable),
      data.variance.length > 1
        ? folded(`Of the other columns (${data.variance.length - 1})`, () => html("div", {}, data.variance.slice(1).map(dataTable))) : null),
    part("Cost", data.costs.map(dataTable)),
    part("Samples", samples(data.samples)),
    part("Computing it again", provenance(data.provenance)),
  ];
}

function callout(title, kind, sentences) {
  if (!sentences.length) return null;
  return html("aside", { class: `callout ${kind}`, "aria-label": title }, html("h3", {}, title), listed(sentences));
}

function answerList(answers) {
  return html("ul", { class: "answers-list" }, answers.map(({ kind, text }) => {
    const [sign, word] = MARKS[kind];
    return html("li", { class: kind }, html("span", { class: "kind" }, html("span", { "aria-hidden": "true" }, `${sign} `), word), html("span", {}, text));
  }));
}

function provenance(data) {
  const commands = data.commands.join("\n");
  const facts = data.facts.map(({ name, values }) => [html("dt", {}, name), html("dd", {}, values.join("; "))]);
  return [
    html("pre", { tabindex: "0" }, html("code", {}, commands)),
    html("dl", {}, facts),
    folded(`Cells (${data.cells.rows.length})`, () => dataTable(data.cells)),
  ];
}
