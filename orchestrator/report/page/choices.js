// Which choices matter, and how they run together with the objectives.
import { DATA, FEASIBLE, capital, columnsFor, el, plural, section } from "./dom.js";
import { layout, plot, safe } from "./plots.js";

export function importanceSection() {
  const tables = DATA.importance.filter((table) =>
    table.effects.some((effect) => effect.share >= 0.005),
  );
  if (!tables.length) return;
  const node = section(
    "importance",
    "What decides each objective",
    "The share of an objective's variance that one choice explains on its own (epsilon squared, corrected for small samples; a conditional choice counts by the candidates that had it). Shares need not add up to 100 %. Open a line for the mean of each answer.",
    "Choices",
  );
  node.append(
    el(
      "div",
      { class: "effects", style: `--columns:${columnsFor(tables.length, 3)}` },
      tables.map((table) =>
        el(
          "div",
          {},
          el(
            "h3",
            {},
            capital(table.label),
            " ",
            el("small", { class: "id" }, plural(table.candidates, "candidate")),
          ),
          effectLines(table.effects),
        ),
      ),
    ),
  );
}

function effectLines(effects) {
  const visible = effects.filter((effect) => effect.share >= 0.005).slice(0, 8);
  const rest = effects.filter((effect) => !visible.includes(effect)).map((effect) => effect.choice);
  const none = rest.length
    ? el("p", { class: "id" }, `Little or nothing on its own: ${rest.join(", ")}`)
    : null;
  return [...visible.map(effectLine), none];
}

function effectLine(effect) {
  const share = `${Math.round(100 * effect.share)} %`;
  return el(
    "details",
    { class: "effect" },
    el(
      "summary",
      { title: effect.choice },
      el("span", {}, effect.choice),
      el("div", {}, el("i", { style: `width:${100 * effect.share}%` })),
      el("b", {}, share),
    ),
    el(
      "ul",
      {},
      effect.levels.map((level) =>
        el(
          "li",
          {},
          el("span", {}, level.text),
          el("b", {}, level.mean),
          el("em", {}, plural(level.count, "candidate")),
        ),
      ),
    ),
  );
}

export function spanSection() {
  const axes = DATA.columns.filter((column) => column.direction).length + DATA.span.length;
  if (FEASIBLE.length < 2 || axes < 2) return;
  const node = section(
    "parallel",
    "All objectives at once",
    "One line a feasible candidate, through its objectives and its most important choices; up is better on an objective. Drag along an axis to keep only the lines through that range, click the range to let go.",
    "Objectives",
  );
  const inner = el("div", { style: `min-width:${115 * axes}px` });
  node.append(el("div", { class: "scroll" }, inner));
  plot(inner, 400, spanFigure, "Parallel coordinates of feasible candidates");
}

function spanFigure() {
  const leading = Math.max(
    0,
    DATA.columns.findIndex((column) => column.direction === "maximize"),
  );
  const column = DATA.columns[leading];
  const shown = FEASIBLE.filter((record) => record.figures[leading] !== null);
  const dimensions = [
    ...DATA.columns.map((one, i) =>
      one.direction
        ? columnDimension(
            one,
            shown.map((r) => r.figures[i]),
          )
        : null,
    ),
    ...DATA.span.map((name) =>
      choiceDimension(
        name,
        shown.map((r) => r.choices[DATA.choices.indexOf(name)]),
      ),
    ),
  ].filter(Boolean);
  const line = {
    color: shown.map((r) => r.figures[leading]),
    colorscale: "Viridis",
    showscale: true,
    colorbar: {
      title: { text: safe(capital(column.label)), side: "right" },
      thickness: 12,
      outlinewidth: 0,
      tickformat: column.unit === "share" ? ".3~p" : "~s",
    },
  };
  const trace = {
    type: "parcoords",
    dimensions,
    line,
    labelfont: { size: 13 },
    tickfont: { size: 11.5 },
    rangefont: { size: 1, color: "rgba(0,0,0,0)" },
    unselected: { line: { opacity: 0.06 } },
  };
  return [[trace], layout({ margin: { l: 70, r: 30, t: 56, b: 22 } })];
}

function columnDimension(column, values) {
  const known = values.filter((v) => v !== null);
  // A candidate without a figure cannot cross this axis, so an incomplete column is left out.
  if (known.length < values.length || !known.length) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const gap = low === high ? Math.abs(low) * 0.1 || 1 : 0;
  const range = column.direction === "minimize" ? [high + gap, low - gap] : [low - gap, high + gap];
  const tickformat = column.unit === "share" ? ".3~p" : "~s";
  const unit = ["", "share", column.label].includes(column.unit)
    ? ""
    : ` (${column.unit === "bytes" ? "B" : column.unit})`;
  return {
    label: safe(capital(column.label) + unit),
    values,
    range,
    tickformat: column.unit === "ms" ? ".3~g" : tickformat,
  };
}

function choiceDimension(name, values) {
  const numeric = values.every((v) => v === null || typeof v === "number");
  const levels = [...new Set(values)];
  const short = name.length > 18 ? `…${name.slice(-17)}` : name;
  if (numeric && levels.length > 6) return numberDimension(safe(short), values);
  const rank = (v) => (v === null ? "" : String(v));
  levels.sort((a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : rank(a).localeCompare(rank(b), "en", { numeric: true }),
  );
  const ticktext = levels.map((v) => (v === null ? "not asked" : safe(String(v).slice(0, 16))));
  return {
    label: safe(short),
    values: values.map((v) => levels.indexOf(v)),
    tickvals: levels.map((_, i) => i),
    ticktext,
    range: [-0.2, Math.max(levels.length - 0.8, 0.2)],
  };
}

// A conditional number: candidates without it cross the axis at a place of its own, below the rest.
function numberDimension(label, values) {
  const known = values.filter((v) => v !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const marks = [0, 1, 2, 3, 4].map((step) => low + (step * (high - low)) / 4);
  const text = marks.map((v) => String(Number(v.toPrecision(3))));
  if (known.length === values.length) return { label, values, tickvals: marks, ticktext: text };
  const below = low - 0.15 * (high - low);
  return {
    label,
    values: values.map((v) => v ?? below),
    tickvals: [below, ...marks],
    ticktext: ["not asked", ...text],
  };
}
