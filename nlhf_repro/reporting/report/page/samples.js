// The same prompt answered by all rows, side by side; search, filters and pages.

const PAGE = 10; // prompts

function samples(sets) {
  if (!sets.length) return null;
  const box = html("div");
  const show = (index) => box.replaceChildren(sampleSet(sets[index]));
  show(0);
  const choices = sets.map((each, index) => [String(index), each.title]);
  return html("div", { class: "samples" },
    sets.length > 1 ? html("div", { class: "controls" }, chooser("Answers to", choices, "0", (x) => show(Number(x)))) : null, box);
}

function sampleSet(set) {
  const labels = [...new Set(set.prompts.flatMap((prompt) => prompt.answers.map((answer) => answer.label)))];
  const state = { sought: [], hidden: new Set(), row: "", outcome: "", page: 0 };
  const list = html("div", { class: "prompts" });
  const pages = html("div", { class: "controls pages" });
  let report = "";
  const show = () => {
    const found = set.prompts.filter((prompt) => sampleFits(prompt, state));
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    state.page = Math.min(state.page, last);
    const shown = found.slice(state.page * PAGE, (state.page + 1) * PAGE);
    list.replaceChildren(...shown.map((prompt) => samplePrompt(prompt, set, state)));
    pages.replaceChildren(...pageButtons(state, last, show));
    report = `${found.length} of ${set.prompts.length} prompts`;
    return report;
  };
  const restart = () => {
    state.page = 0;
    counter.textContent = show();
  };
  const counter = html("output", { "aria-live": "polite" });
  const field = searchField("Search prompts and answers", (sought) => {
    state.sought = sought;
    restart();
    return "";
  });
  counter.textContent = show();
  const cut = set.prompts.length < set.total
    ? html("p", { class: "caution" }, `The first ${set.prompts.length} of ${set.total} prompts are here: a report keeps below 5 MB. The others lie in the records.`) : null;
  return html("div", {},
    html("p", {}, set.note),
    set.compared_with ? html("p", {}, `The bar of an answer: ${set.compared_with}.`) : null,
    cut,
    html("div", { class: "controls" }, field, outcomeFilter(set, labels, state, restart), counter),
    rowChoice(labels, state, restart),
    list,
    pages);
}

function sampleFits(prompt, state) {
  const answers = prompt.answers.filter((answer) => !state.hidden.has(answer.label));
  const text = [prompt.identifier, prompt.text, ...answers.map((answer) => answer.text || "")].join("\n");
  if (!holds(text, state.sought)) return false;
  if (!state.row || !state.outcome) return true;
  const answer = prompt.answers.find((each) => each.label === state.row);
  if (!answer || answer.preferred === undefined) return false;
  const value = numeric(answer.preferred);
  return { preferred: value > 0.5, not: value < 0.5, even: value === 0.5 }[state.outcome];
}

function outcomeFilter(set, labels, state, restart) {
  if (!set.compared_with) return [];
  const rows = [["", "any row"], ...labels.map((label) => [label, label])];
  const outcomes = [["", "any verdict"], ["preferred", "is preferred (above 1/2)"], ["not", "is not (below 1/2)"], ["even", "is even"]];
  return [
    chooser("Answer of", rows, "", (x) => { state.row = x; restart(); }),
    chooser("Verdict", outcomes, "", (x) => { state.outcome = x; restart(); }),
  ];
}

function rowChoice(labels, state, restart) {
  const boxes = labels.map((label) => {
    const id = fresh("row");
    const change = (event) => {
      if (event.target.checked) state.hidden.delete(label);
      else state.hidden.add(label);
      restart();
    };
    return html("span", {}, html("input", { type: "checkbox", id, checked: true, change }), html("label", { for: id }, label));
  });
  return html("fieldset", { class: "rows" }, html("legend", {}, "Rows shown"), boxes);
}

function pageButtons(state, last, show) {
  if (!last) return [];
  const go = (step) => () => {
    state.page += step;
    show();
  };
  return [
    html("button", { type: "button", disabled: state.page === 0, click: go(-1) }, "Previous"),
    html("span", {}, `Page ${state.page + 1} of ${last + 1}`),
    html("button", { type: "button", disabled: state.page === last, click: go(1) }, "Next"),
  ];
}

function samplePrompt(prompt, set, state) {
  const shown = prompt.answers.filter((answer) => !state.hidden.has(answer.label));
  return html("article", {},
    html("h4", {}, `Prompt ${prompt.identifier}`),
    prompt.text ? html("blockquote", {}, marked(prompt.text, state.sought), cutNote(prompt)) : null,
    html("div", { class: "answers" }, shown.map((answer) => sampleAnswer(answer, state))));
}

function sampleAnswer(answer, state) {
  const judged = answer.preferred !== undefined;
  const value = numeric(answer.preferred);
  return html("section", { class: "answer", "aria-label": answer.label },
    html("h5", {}, answer.label),
    answer.text === undefined
      ? html("p", { class: "aside" }, "no answer: the row is not complete")
      : html("p", { class: "words" }, answer.text ? marked(answer.text, state.sought) : "(nothing)"),
    cutNote(answer),
    judged ? html("p", { class: "verdict" }, barOf(value), ` ${value > 0.5 ? "preferred" : value < 0.5 ? "not preferred" : "even"}: ${shareText(value)}`) : null,
    answer.words ? html("p", { class: "aside" }, answer.words) : null);
}

function cutNote(item) {
  if (item.characters === undefined) return null;
  return html("p", { class: "caution" }, `Cut: ${item.text.length} of ${item.characters} characters are shown.`);
}

// The text with the words that are sought marked, all of it as text nodes.
function marked(text, sought) {
  if (!sought.length) return [text];
  const lower = text.toLowerCase();
  if (lower.length !== text.length) return [text];
  const parts = [];
  let from = 0;
  while (from < text.length) {
    const hits = sought.map((word) => [lower.indexOf(word, from), word.length]).filter(([at]) => at >= 0);
    if (!hits.length) break;
    const [at, length] = hits.reduce((best, each) => (each[0] < best[0] ? each : best));
    parts.push(text.slice(from, at), html("mark", {}, text.slice(at, at + length)));
    from = at + length;
  }
  parts.push(text.slice(from));
  return parts;
}
