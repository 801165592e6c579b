// A card for each network that can be shipped: its files, and what each of them is best for.
import { DATA, FEASIBLE, capital, columnsFor, el, section } from "./dom.js";
import { classTable, confusionTable, pictureRows } from "./mistakes.js";

export function finalistsSection() {
  const node = section(
    "finalists",
    "Finalists",
    "Trained in full, compressed, exported and measured from the files that are shipped, on images the search never saw. ★ may be recommended; a file is judged against the one it was made of, and against its neighbours in the folder. Hold the pointer over a row for what the clock said.",
  );
  if (!DATA.finalists.length) {
    node.append(
      el(
        "p",
        { class: "note" },
        FEASIBLE.length
          ? "No finalist has been written yet. The front below is what the search knows so far."
          : "No candidate is feasible so far; the reasons are given below.",
      ),
    );
    return;
  }
  const ordered = [...DATA.finalists].sort((a, b) => Number(b.recommended) - Number(a.recommended));
  node.append(
    el(
      "div",
      { class: "cards", style: `--columns:${columns(ordered)}` },
      ordered.map(finalistCard),
    ),
  );
}

// A table of files needs the page's whole width.
function columns(finalists) {
  if (finalists.some((one) => one.files.length)) return 1;
  return Math.max(2, columnsFor(finalists.length, 4));
}

function finalistCard(one) {
  return el(
    "article",
    { class: `card${one.recommended ? " best" : ""}${one.files.length ? " whole" : ""}` },
    el(
      "div",
      {},
      el("h3", {}, one.name || one.id),
      one.id && one.id !== one.name ? el("div", { class: "id" }, one.id) : null,
    ),
    el(
      "div",
      { class: "badges" },
      one.recommended ? el("span", { class: "badge star" }, "★ Recommended") : null,
      one.picks.map((need) => el("span", { class: "badge pick" }, capital(need))),
      el(
        "span",
        {
          title: "Whether the file that is shipped computes the same function as its network",
          class: one.verified ? "badge feasible" : "badge failed",
        },
        one.verified ? "✓ Verified" : "Not verified",
      ),
    ),
    one.pairs.map(changeBars),
    fileTable(one.files),
    el(
      "dl",
      {},
      one.figures.flatMap((figure) => [el("dt", {}, figure.label), el("dd", {}, figure.text)]),
    ),
    classTable(one.classes),
    confusionTable(one.confusion),
    pictureRows(one.pictures),
    one.marks.length
      ? el(
          "ul",
          { class: "marks" },
          one.marks.map((mark) => el("li", {}, mark)),
        )
      : null,
    one.folder ? el("code", { class: "id folder" }, one.folder) : null,
  );
}

// Every file of the folder, step by step; the one that leads is shaded.
const HEADS = ["File", "Steps", "Test", "Latency", "Size", "MACs", "Agreement"];

function fileTable(files) {
  if (!files.length) return null;
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "files" },
      el(
        "tr",
        {},
        HEADS.map((head) => el("th", {}, head)),
      ),
      files.flatMap(fileRows),
    ),
  );
}

function fileRows(file) {
  const row = el(
    "tr",
    { class: file.leads ? "leads" : "", title: file.clock.join("\n") },
    el(
      "td",
      {},
      el("b", {}, file.recommended ? `★ ${file.label}` : file.label),
      el("small", {}, file.runtime),
    ),
    el("td", {}, file.steps),
    file.cells.map((cell) => el("td", {}, cell)),
  );
  const told = [
    file.leads_on.map((device) => el("span", { class: "badge pick" }, `Leads on ${device}`)),
    file.picks.map((need) => el("span", { class: "badge pick" }, capital(need))),
    file.alike.map((text) => el("span", { class: "alike" }, capital(text))),
    file.verified ? null : el("span", { class: "badge failed" }, "Not verified"),
    file.marks.map((mark) => el("span", { class: "mark" }, mark)),
  ].flat();
  if (!told.some((node) => node)) return [row];
  return [
    row,
    el("tr", { class: "told" }, el("td", { colspan: HEADS.length }, el("div", {}, told))),
  ];
}

function changeBars(pair) {
  const tone = pair.good === true ? "good" : pair.good === false ? "bad" : "";
  const bar = (name, kind, share, text) =>
    el(
      "div",
      { class: "bar" },
      el("em", {}, name),
      el("i", { class: kind, style: `width:${100 * share}%` }),
      el("b", {}, text),
    );
  return el(
    "div",
    { class: "change" },
    el(
      "div",
      { class: "name" },
      el("span", {}, capital(pair.label)),
      el("span", { class: tone }, pair.verdict),
    ),
    bar("before", "before", pair.before_share, pair.before),
    bar("shipped", "after", pair.after_share, pair.after),
  );
}
