// How the search went: hypervolume, and the leading metric epoch by epoch.
import { DATA, FRONT, capital, el, picker, side } from "./dom.js";
import { colour, layout, plot } from "./plots.js";

export function historySection() {
  const pair = el("div", { class: "pair" });
  const curves = DATA.records.filter((record) => record.curve.length > 1);
  if (!DATA.history.length && !curves.length) return;
  document.getElementById("sections").append(pair);
  document.getElementById("links").append(el("a", { href: "#progress" }, "Progress"));
  pair.id = "progress";
  if (DATA.history.length) volumePart(pair);
  if (curves.length) curvesPart(pair, curves);
  if (pair.children.length === 1) pair.style.gridTemplateColumns = "1fr";
}

function volumePart(pair) {
  const node = side(
    "Hypervolume",
    `The share of the space between reference and ideal that the front dominates. ${DATA.outlook || "A curve that is still rising says that more search would pay."}`,
    pair,
  );
  const timed = DATA.history[DATA.history.length - 1].minutes > 0;
  const state = { by: "number" };
  const controls = el("div", { class: "controls" });
  node.append(controls);
  const view = plot(node, 320, () => volumeFigure(state.by), "Hypervolume during the search");
  const options = [
    ["number", "candidates finished"],
    ["minutes", "minutes"],
  ];
  if (timed)
    controls.append(
      picker("Against", options, "number", (by) => {
        state.by = by;
        view.draw();
      }),
    );
}

function volumeFigure(by) {
  const x = DATA.history.map((step, i) => (by === "number" ? i + 1 : step.minutes));
  const y = DATA.history.map((step) => step.volume);
  const grown = y.map((v, i) => v > (i ? y[i - 1] : 0));
  const only = (values) => values.filter((_, i) => grown[i]);
  const numbers = DATA.history.map((step) => step.number);
  return [
    [
      {
        type: "scatter",
        mode: "lines",
        x,
        y,
        hoverinfo: "skip",
        line: { shape: "hv", color: colour("blue"), width: 2 },
        fill: "tozeroy",
        fillcolor: "rgba(86,180,233,.16)",
        showlegend: false,
      },
      {
        type: "scatter",
        mode: "markers",
        x: only(x),
        y: only(y),
        customdata: only(numbers),
        marker: { size: 7, color: colour("blue") },
        showlegend: false,
        hovertemplate:
          "candidate %{customdata} moved the front<br>hypervolume %{y:.4f}<extra></extra>",
      },
    ],
    layout({
      xaxis: { title: { text: by === "number" ? "Candidates finished" : "Minutes" } },
      yaxis: { title: { text: "Hypervolume" }, rangemode: "tozero" },
    }),
  ];
}

function curvesPart(pair, curves) {
  const whose =
    DATA.agreement && DATA.agreement.points.length
      ? `Validation ${DATA.leading} after each epoch of further training, of those candidates that had any. The front is coloured.`
      : `Validation ${DATA.leading} after each epoch. The front is coloured, a curve that ends early was stopped.`;
  const node = side("Training curves", whose, pair);
  plot(node, 362, () => curvesFigure(curves), "Training curves");
}

function curvesFigure(curves) {
  const joined = (records) => {
    const [x, y, text] = [[], [], []];
    for (const record of records) {
      record.curve.forEach((value, i) => {
        x.push(i + 1);
        y.push(value);
        text.push(`Candidate ${record.number} · ${record.outcome}`);
      });
      x.push(null);
      y.push(null);
      text.push("");
    }
    return {
      type: "scatter",
      mode: "lines",
      x,
      y,
      text,
      hovertemplate: "%{text}<br>epoch %{x}: %{y:.1%}<extra></extra>",
    };
  };
  const longest = Math.max(...curves.map((record) => record.curve.length));
  const of = (test) => curves.filter(test);
  const groups = [
    [
      "Feasible",
      of((r) => r.outcome === "feasible" && !FRONT.has(r.number)),
      { color: colour("faint"), width: 1 },
      0.55,
    ],
    [
      "Stopped",
      of((r) => r.outcome === "stopped"),
      { color: colour("purple"), width: 1.4, dash: "dot" },
      0.9,
    ],
    [
      "Other",
      of((r) => r.outcome === "rejected" || r.outcome === "failed"),
      { color: colour("orange"), width: 1, dash: "dot" },
      0.7,
    ],
    ["On the front", of((r) => FRONT.has(r.number)), { color: colour("blue"), width: 1.8 }, 0.9],
  ];
  const traces = groups
    .filter((group) => group[1].length)
    .map(([name, records, line, opacity]) => ({ ...joined(records), name, line, opacity }));
  return [
    traces,
    layout({
      margin: { l: 56, r: 16, t: 40, b: 48 },
      xaxis: { title: { text: "Epoch" }, tickformat: "d", ...(longest <= 12 ? { dtick: 1 } : {}) },
      yaxis: { title: { text: capital(DATA.leading) }, tickformat: ".3~p" },
    }),
  ];
}
