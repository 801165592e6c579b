// What did not make it, gathered by reason.
import { DATA, capital, el, section } from "./dom.js";

const LOSS_LEADS = {
  rejected: "A hard budget is broken, most often known before any training was paid for.",
  stopped: "Training ended early: others were already better in every objective.",
  failed: "A step broke. Open a line for the first such error in full.",
};

export function lossesSection() {
  const kinds = Object.entries(DATA.losses).filter((pair) => pair[1].length);
  if (!kinds.length) return;
  const node = section("lost", "Not feasible", "", "Lost");
  node.append(
    el(
      "div",
      { class: "lost" },
      kinds.map(([kind, groups]) => {
        const count = DATA.records.filter((record) => record.outcome === kind).length;
        return el(
          "div",
          {},
          el("h3", {}, `${capital(kind)} (${count})`),
          el("p", { class: "lead" }, LOSS_LEADS[kind]),
          groups.map(lossLine),
        );
      }),
    ),
  );
}

function lossLine(group) {
  const who = `candidate${group.count === 1 ? "" : "s"} ${group.numbers.join(", ")}${group.count > group.numbers.length ? " …" : ""}`;
  const text = el(
    "span",
    {},
    group.step ? el("b", {}, `${group.step}: `) : null,
    group.text,
    el("small", {}, who),
  );
  const line = [el("b", {}, `${group.count}×`), text];
  if (!group.error) return el("div", { class: "loss" }, el("p", {}, line));
  return el("details", { class: "loss" }, el("summary", {}, line), el("pre", {}, group.error));
}
