// What all plots share: colours from the style sheet, one layout, safe texts.
import { DATA, FINAL, FRONT, capital, el } from "./dom.js";

const PLOTS = [];
export const WHEEL = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#d55e00",
  "#8f8f8f",
  "#b5a900",
];
export const SYMBOLS = [
  "circle",
  "square",
  "diamond",
  "triangle-up",
  "cross",
  "star",
  "hexagon",
  "triangle-down",
];

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Plotly understands a few tags in its texts, so texts from records are escaped for it.
export function safe(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

export function layout(more = {}) {
  const { xaxis, yaxis, ...rest } = more;
  const axis = {
    gridcolor: colour("line"),
    linecolor: colour("line"),
    zerolinecolor: colour("line"),
    automargin: true,
    title: { standoff: 10 },
    tickfont: { size: 12 },
  };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("text") },
    margin: { l: 56, r: 16, t: 12, b: 48 },
    hovermode: "closest",
    dragmode: "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("faint"), activecolor: colour("blue") },
    hoverlabel: {
      align: "left",
      bgcolor: colour("card"),
      bordercolor: colour("faint"),
      font: { color: colour("text"), size: 12.5 },
    },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12.5 } },
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...rest,
  };
}

// `describe()` returns [traces, layout]; it is called again when the colour scheme changes.
export function plot(parent, height, describe, label, tools = false) {
  const box = el("div", {
    class: "plot",
    style: `height:${height}px`,
    role: "img",
    "aria-label": label,
  });
  parent.append(box);
  const draw = () => {
    const [traces, shape] = describe();
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: tools && innerWidth > 700,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    };
    return Plotly.react(box, traces, shape, config);
  };
  PLOTS.push(draw);
  draw();
  return { box, draw };
}

export function axisOf(column, more = {}) {
  const unit =
    ["share", "bytes", ""].includes(column.unit) || column.unit === column.label
      ? ""
      : ` (${column.unit})`;
  const style = { share: { tickformat: ".4~p" }, bytes: { tickformat: "~s", ticksuffix: "B" } }[
    column.unit
  ];
  return {
    title: { text: safe(capital(column.label) + unit), standoff: 10 },
    ...(style || { tickformat: "~s" }),
    ...plain(column),
    ...more,
  };
}

// Milli-seconds with an SI prefix ("500m") would mislead; only large counts are shortened.
function plain(column) {
  return column.unit === "share" || column.unit === "bytes" || largest(column) >= 1000
    ? {}
    : { tickformat: "" };
}

function largest(column) {
  const place = DATA.columns.indexOf(column);
  return DATA.records.reduce(
    (most, record) => Math.max(most, Math.abs(record.figures[place] ?? 0)),
    0,
  );
}

export function hover(record) {
  const role = FINAL.has(record.number)
    ? "finalist"
    : FRONT.has(record.number)
      ? "on the front"
      : record.outcome;
  const lines = [`<b>Candidate ${record.number}</b> · ${role}`];
  DATA.columns.forEach((column, i) => {
    if (record.texts[i]) lines.push(`${safe(column.label)}: <b>${safe(record.texts[i])}</b>`);
  });
  if (record.made) lines.push(safe(record.made));
  if (record.why) lines.push(`<i>${safe(record.why).slice(0, 90)}</i>`);
  const answers = DATA.choices
    .map((name, i) => [name, record.choices[i]])
    .filter((pair) => pair[1] !== null);
  if (answers.length) lines.push("");
  answers
    .slice(0, 12)
    .forEach(([name, value]) => lines.push(`${safe(name)} = ${safe(value)}`.slice(0, 70)));
  if (answers.length > 12) lines.push(`… and ${answers.length - 12} more; click to see them`);
  return lines.join("<br>");
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  PLOTS.forEach((draw) => draw()),
);
