// The page around the sections.

const report = JSON.parse(document.getElementById("document").textContent);

function themeButton() {
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const name = () => (dark() ? "Light mode" : "Dark mode");
  const button = html("button", {
    type: "button",
    id: "theme",
    click: () => {
      document.documentElement.dataset.theme = dark() ? "light" : "dark";
      button.textContent = name();
    },
  }, name());
  return button;
}

function contents(sections) {
  if (sections.length < 2) return null;
  const entries = sections.map((data) => {
    const told = data.answers.filter((answer) => answer.kind === "different").length;
    const tested = data.answers.filter((answer) => answer.kind !== "none").length;
    const said = tested ? `: ${told} of ${tested} comparisons shown` : "";
    const address = `#experiment-${data.name}`.replace(/[^\w#-]/g, "-");
    return html("li", {}, html("a", { href: address }, data.title), said);
  });
  return html("nav", { "aria-label": "Experiments" }, html("h2", {}, "Experiments"), html("ol", {}, entries));
}

function unfold() {
  document.querySelectorAll("details").forEach((box) => { box.open = true; });
}

// On paper what explains a table is open; the numbers behind figures would fill pages.
addEventListener("beforeprint", () => {
  document.querySelectorAll(".table > details").forEach((box) => { box.open = true; });
});

document.getElementById("page").append(
  html("header", {}, html("h1", {}, report.title), html("div", { class: "controls" }, themeButton(),
    html("button", { type: "button", click: () => window.print() }, "Print"),
    html("button", { type: "button", click: unfold }, "Unfold all"))),
  html("main", { id: "main", tabindex: "-1" }, contents(report.sections) || "", report.sections.map(section)),
);
