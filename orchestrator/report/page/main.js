// The page from top to bottom.
import { agreementSection } from "./agreement.js";
import { candidatesSection } from "./candidates.js";
import { importanceSection, spanSection } from "./choices.js";
import { DATA, capital, columnsFor, el, section } from "./dom.js";
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

function repeatSection() {
  if (!DATA.command && !DATA.plan.length && !DATA.environment.length) return;
  const node = section("repeat", "How to repeat it", "", "Repeat");
  if (DATA.command) {
    const copy = (event) =>
      navigator.clipboard?.writeText(DATA.command).then(() => {
        event.target.textContent = "Copied";
      });
    node.append(
      el(
        "div",
        { class: "copy" },
        el("pre", {}, DATA.command),
        el("button", { onclick: copy }, "Copy"),
      ),
    );
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

tilesPart();
finalistsSection();
frontSection();
agreementSection();
historySection();
importanceSection();
spanSection();
candidatesSection();
lossesSection();
repeatSection();
