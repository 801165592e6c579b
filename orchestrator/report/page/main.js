// The page from top to bottom.
import { agreementSection } from "./agreement.js";
import { candidatesSection } from "./candidates.js";
import { importanceSection, spanSection } from "./choices.js";
import { DATA, capital, columnsFor, el, link, section } from "./dom.js";
import { finalistsSection } from "./finalists.js";
import { frontSection } from "./front.js";
import { historySection } from "./history.js";
import { lossesSection } from "./losses.js";

function tilesPart() {
  const grid = document.getElementById("tiles");
  grid.style.setProperty("--columns", columnsFor(DATA.tiles.length, 6));
  grid.append(
    ...DATA.tiles.map((tile) =>
      el(
        "div",
        { class: "tile" },
        el("span", {}, tile.label),
        el("b", {}, tile.value),
        el("small", {}, tile.note),
      ),
    ),
  );
}

function facts(rows) {
  return el(
    "dl",
    { class: "facts" },
    rows.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]),
  );
}

// Where the clipboard is closed to files, the text is selected and the reader copies it.
async function copy(node, button) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(node);
    button.textContent = "Selected";
  }
}

function repeatSection() {
  if (!DATA.command && !DATA.plan.length && !DATA.environment.length) return;
  const node = section("repeat", "How to repeat it", "", "Repeat");
  if (DATA.command) {
    const command = el("pre", {}, DATA.command);
    const button = el("button", {}, "Copy");
    button.addEventListener("click", () => copy(command, button));
    node.append(el("div", { class: "copy" }, command, button));
  }
  const groups = [...DATA.plan];
  if (DATA.environment.length) groups.push({ name: "environment", rows: DATA.environment });
  node.append(
    el(
      "div",
      { class: "plan", style: "margin-top:18px" },
      groups.map((group) =>
        el("div", {}, el("h3", {}, capital(group.name || "plan")), facts(group.rows)),
      ),
    ),
  );
}

// The section on the images is in the page before any script runs.
function imagesPart() {
  if (document.getElementById("data")) link("data", "Images");
}

const PARTS = [
  tilesPart,
  finalistsSection,
  frontSection,
  agreementSection,
  historySection,
  importanceSection,
  spanSection,
  candidatesSection,
  lossesSection,
  repeatSection,
  imagesPart,
];

// A part that breaks takes no other with it: the error is told, in the page and on the console.
for (const part of PARTS) {
  try {
    part();
  } catch (error) {
    console.error(error);
    const text = `A part of this report could not be drawn (${part.name}: ${error.message}).`;
    document.getElementById("sections").append(el("p", { class: "note" }, text));
  }
}
performance.mark("report drawn");
