// Whether estimates can be trusted: estimated against trained figures, and what ranks untrained.
import { openCandidate } from "./candidates.js";
import { DATA, capital, el, plural, section } from "./dom.js";
import { SYMBOLS, colour, layout, plot, safe } from "./plots.js";

export function agreementSection() {
  const known = DATA.agreement;
  if (!known) return;
  const checked = known.points.length > 0;
  const node = checked
    ? section(
        "trust",
        "Can the estimates be trusted?",
        `The ${DATA.leading} of a candidate is an estimate in this search. A few candidates near the front were trained further to see whether the estimates put them in the right order, which is all that a search needs of them.`,
        "Trust",
      )
    : section(
        "trust",
        "What ranks without training",
        `How well the order of an objective that needs no training agrees with the order by ${DATA.leading}, as far as it is known.`,
        "Ranking",
      );
  const grid = el("div", { class: checked ? "trust" : "" });
  node.append(grid);
  if (checked) {
    const left = el("div", {});
    grid.append(left);
    const view = plot(left, 400, agreementFigure, `Estimated against trained ${DATA.leading}`);
    view.box.on("plotly_click", (event) => openCandidate(event.points[0].customdata));
  }
  grid.append(
    el(
      "div",
      {},
      known.taus.map((one) =>
        el(
          "div",
          { class: "tau" },
          el("b", {}, one.value),
          el("div", {}, el("h3", {}, one.label), el("p", {}, one.note)),
        ),
      ),
      known.advice ? el("ul", { class: "marks" }, el("li", {}, known.advice)) : null,
      known.objectives.length ? rankingTable(known.objectives, checked) : null,
    ),
  );
}

function agreementFigure() {
  const points = DATA.agreement.points;
  const lengths = [...new Set(points.map((one) => one.epochs))].sort((a, b) => a - b);
  const sized = points.every((one) => one.macs !== null);
  const bent = (one) => Math.log10(one.macs);
  const traces = lengths.map((epochs, place) => {
    const group = points.filter((one) => one.epochs === epochs);
    const paint = sized
      ? { color: group.map(bent), coloraxis: "coloraxis" }
      : { color: colour(place ? "orange" : "blue") };
    return {
      type: "scatter",
      mode: "markers",
      name: `Trained further for ${plural(epochs, "epoch")}`,
      x: group.map((one) => one.estimated),
      y: group.map((one) => one.trained),
      customdata: group.map((one) => one.number),
      marker: {
        ...paint,
        size: place ? 12 : 10,
        symbol: SYMBOLS[(2 * place) % 8],
        opacity: 0.85,
        line: { width: 1, color: colour("card") },
      },
      text: group.map(agreementHover),
      hovertemplate: "%{text}<extra></extra>",
    };
  });
  const sizes = points.map((one) => one.macs);
  const ticks = sized
    ? [Math.min(...sizes), Math.sqrt(Math.min(...sizes) * Math.max(...sizes)), Math.max(...sizes)]
    : [];
  const share = { tickformat: ".3~p", nticks: 7 };
  return [
    traces,
    layout({
      margin: { l: 56, r: 16, t: 40, b: 48 },
      xaxis: { title: { text: `Estimated ${DATA.leading}` }, ...share },
      yaxis: { title: { text: `Trained ${DATA.leading}` }, ...share },
      coloraxis: {
        colorscale: "Viridis",
        showscale: sized,
        colorbar: {
          title: { text: "MACs", side: "right" },
          thickness: 12,
          outlinewidth: 0,
          tickvals: ticks.map(Math.log10),
          ticktext: ticks.map((value) => shortCount(value)),
        },
      },
    }),
  ];
}

function agreementHover(one) {
  const share = (value) => `${(100 * value).toFixed(1)} %`;
  const lines = [
    `<b>Candidate ${safe(one.id)}</b>`,
    `estimated: <b>${share(one.estimated)}</b>`,
    `trained further for ${plural(one.epochs, "epoch")}: <b>${share(one.trained)}</b>`,
  ];
  if (one.macs !== null) lines.push(`MACs: <b>${shortCount(one.macs)}</b>`);
  return lines.join("<br>");
}

function shortCount(value) {
  const [step, prefix] = [
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " k"],
  ].find(([least]) => value >= least) || [1, ""];
  return Number((value / step).toPrecision(3)) + prefix;
}

function rankingTable(rows, checked) {
  const names = ["objective", "tau", "at given MACs", "candidates", "by chance"];
  const cell = (one) =>
    el(
      "td",
      {},
      one.value === null
        ? null
        : el("i", {
            class: one.value < 0 ? "reach down" : "reach",
            style: `width:${Math.round(44 * Math.abs(one.value))}px`,
          }),
      one.text,
    );
  const whose = checked
    ? `The same of what is known without training, against all that is known of ${DATA.leading}; a checked candidate counts as trained.`
    : `Above 0, ${DATA.leading} rises with the objective.`;
  return el(
    "div",
    { class: "ranking" },
    checked ? el("h3", {}, "What ranks without training") : null,
    el(
      "p",
      { class: "lead" },
      `${whose} Within the last column, it may be chance. A dash: MACs explain it whole.`,
    ),
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            names.map((name, i) => el("th", { class: i ? null : "left" }, name)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((row) =>
            el(
              "tr",
              {},
              el("td", { class: "left" }, capital(row.label)),
              cell(row.tau),
              cell(row.given),
              el("td", {}, String(row.count)),
              el("td", {}, row.chance),
            ),
          ),
        ),
      ),
    ),
  );
}
