// What the trade-off draws: marks of candidates, the line of the two objectives, budgets.
// `i` and `j` are places in SHOWN, of the axis across and of the axis up.
import { DATA, FEASIBLE, FINAL, FRONT, RUNTIMES, capital } from "./dom.js";
import { SYMBOLS, WHEEL, axisOf, colour, hover, layout, safe } from "./plots.js";

const ORDER = { name: "#", label: "candidate", unit: "", direction: "" };
export const SHOWN = [...DATA.columns, ORDER];

function at(record, place) {
  return SHOWN[place] === ORDER ? record.number : record.figures[place];
}

// [traces, layout] for Plotly, from the state of the pickers (see front.js).
export function frontFigure(state) {
  const places = Object.fromEntries(SHOWN.map((column, i) => [column.name, i]));
  const [i, j] = [places[state.x], places[state.y]];
  const [across, up] = [SHOWN[i], SHOWN[j]];
  const whole = (record) => at(record, i) !== null && at(record, j) !== null;
  const feasible = FEASIBLE.filter(whole);
  const traces = [];
  if (state.lost) traces.push(...lostTraces(i, j, whole));
  if (across !== up) traces.push(...lineTrace(feasible, i, j));
  traces.push(
    ...(state.colour ? paintedTraces(feasible, state.colour, i, j) : plainTraces(feasible, i, j)),
  );
  traces.push(...finalTrace(feasible, i, j));
  return [
    traces,
    layout({
      xaxis: axisOf(across, scale(feasible, i, state.logx)),
      yaxis: axisOf(up, scale(feasible, j, state.logy)),
      yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
      shapes: [...budgets(across, "x"), ...budgets(up, "y")],
      annotations: [...budgetNames(across, "x", state.logx), ...budgetNames(up, "y", state.logy)],
      margin: { l: 56, r: 16, t: 56, b: 48 },
      uirevision: `${state.x} ${state.y} ${state.logx} ${state.logy}`,
    }),
  ];
}

// What was rejected can lie far away; the first view shows what was reached, and a budget nearby.
function scale(feasible, place, log) {
  const type = log ? "log" : "linear";
  const bend = (value) => (log ? Math.log10(value) : value);
  const values = feasible
    .map((r) => at(r, place))
    .filter((v) => !log || v > 0)
    .map(bend);
  if (!values.length) return { type };
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = 0.6 * (high - low);
  for (const [, limit] of limits(SHOWN[place])) {
    const budget = bend(limit);
    if (budget > low - reach && budget < high + reach)
      [low, high] = [Math.min(low, budget), Math.max(high, budget)];
  }
  const room = 0.07 * (high - low) || 0.1 * Math.abs(high) || 1;
  return { type, range: [low - room, high + room] };
}

function marks(records, i, j, name, marker, more = {}) {
  return {
    type: "scatter",
    mode: "markers",
    name,
    marker,
    x: records.map((r) => at(r, i)),
    y: records.map((r) => at(r, j)),
    customdata: records.map((r) => r.number),
    text: records.map(hover),
    hovertemplate: "%{text}<extra></extra>",
    ...more,
  };
}

// Where several runtimes take part, each has a symbol of its own.
function plainTraces(feasible, i, j) {
  return RUNTIMES.flatMap((runtime, place) => {
    const own = feasible.filter((r) => r.runtime === runtime);
    const other = own.filter((r) => !FRONT.has(r.number));
    const members = own.filter((r) => FRONT.has(r.number));
    const [symbol, name] = [SYMBOLS[place % 8], RUNTIMES.length > 1 ? `, ${safe(runtime)}` : ""];
    return [
      marks(other, i, j, `Feasible${name}`, {
        symbol: `${symbol}-open`,
        size: 9,
        color: colour("blue"),
        line: { width: 1.5 },
      }),
      marks(members, i, j, `On the front${name}`, {
        symbol,
        size: 11,
        color: colour("blue"),
        line: { width: 1, color: colour("card") },
      }),
    ].filter((trace) => RUNTIMES.length === 1 || trace.x.length);
  });
}

function paintOf(key) {
  if (key === "#") return { title: "Candidate", value: (r) => r.number };
  if (key.startsWith("=")) {
    const place = DATA.choices.indexOf(key.slice(1));
    return { title: key.slice(1), value: (r) => r.choices[place] };
  }
  const place = DATA.columns.findIndex((column) => column.name === key);
  return {
    title: capital(DATA.columns[place].label),
    value: (r) => at(r, place),
    share: DATA.columns[place].unit === "share",
  };
}

function paintedTraces(feasible, key, i, j) {
  const paint = paintOf(key);
  const values = feasible.map(paint.value);
  const levels = [...new Set(values.filter((v) => v !== null))];
  const edge = (r) => (FRONT.has(r.number) ? colour("text") : "rgba(0,0,0,0)");
  const size = (r) => (FRONT.has(r.number) ? 12 : 9);
  if (levels.every((v) => typeof v === "number") && (levels.length > 5 || !key.startsWith("="))) {
    const known = feasible.filter((r) => paint.value(r) !== null);
    return [
      marks(known, i, j, "Feasible (outlined: on the front)", {
        size: known.map(size),
        color: known.map(paint.value),
        colorscale: "Viridis",
        showscale: true,
        line: { width: 1.6, color: known.map(edge) },
        colorbar: {
          title: { text: safe(paint.title), side: "right" },
          thickness: 12,
          outlinewidth: 0,
          tickformat: paint.share ? ".3~p" : "~s",
        },
      }),
    ];
  }
  const ordered = levels.sort((a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true }),
  );
  const groups = values.includes(null) ? [...ordered, null] : ordered;
  return groups.map((level, place) => {
    const group = feasible.filter((r) => paint.value(r) === level);
    const name = level === null ? "not asked" : safe(`${paint.title} = ${level}`);
    const marker = {
      size: group.map(size),
      color: level === null ? colour("faint") : WHEEL[place % 8],
      symbol: SYMBOLS[place % 8],
      line: { width: 1.6, color: group.map(edge) },
    };
    return marks(group, i, j, name, marker);
  });
}

function finalTrace(feasible, i, j) {
  const chosen = feasible.filter((r) => FINAL.has(r.number));
  if (!chosen.length) return [];
  const ring = { symbol: "circle-open", size: 20, color: colour("orange"), line: { width: 2.4 } };
  return [marks(chosen, i, j, "Finalist", ring)];
}

const LOST = [
  ["rejected", "x-thin", "yellow"],
  ["stopped", "triangle-down-open", "purple"],
  ["failed", "cross-thin", "orange"],
];

function lostTraces(i, j, whole) {
  return LOST.flatMap(([outcome, symbol, tint]) => {
    const lost = DATA.records.filter((r) => r.outcome === outcome);
    const placed = lost.filter(whole);
    // Rejected before it was trained: only its place along the bottom is known.
    const early = lost.filter((r) => at(r, i) !== null && at(r, j) === null);
    const marker = {
      symbol,
      size: 9,
      color: colour(tint),
      line: { width: 1.6, color: colour(tint) },
    };
    const traces = placed.length ? [marks(placed, i, j, capital(outcome), marker)] : [];
    if (early.length) {
      const floor = { ...marker, symbol: "line-ns", size: 11 };
      traces.push(
        marks(early, i, j, `${capital(outcome)}, ${safe(SHOWN[j].label)} unknown`, floor, {
          yaxis: "y2",
          y: early.map(() => 0.018),
        }),
      );
    }
    return traces;
  });
}

function lineTrace(feasible, i, j) {
  const [across, up] = [SHOWN[i], SHOWN[j]];
  if (!across.direction || !up.direction) return [];
  const good = (column) => (column.direction === "maximize" ? 1 : -1);
  const ordered = [...feasible].sort(
    (a, b) => good(across) * (at(b, i) - at(a, i)) || good(up) * (at(b, j) - at(a, j)),
  );
  const steps = [];
  for (const record of ordered) {
    const last = steps[steps.length - 1];
    if (!last || good(up) * (at(record, j) - at(last, j)) > 0) steps.push(record);
  }
  steps.sort((a, b) => at(a, i) - at(b, i));
  return [
    {
      type: "scatter",
      mode: "lines",
      name: "Front of these two",
      hoverinfo: "skip",
      x: steps.map((r) => at(r, i)),
      y: steps.map((r) => at(r, j)),
      line: {
        color: colour("blue"),
        width: 1.6,
        shape: across.direction === "minimize" ? "hv" : "vh",
      },
      opacity: 0.6,
    },
  ];
}

function limits(column) {
  return [
    ["max", column.max],
    ["min", column.min],
  ].filter((pair) => pair[1] !== null && pair[1] !== undefined);
}

function budgets(column, letter) {
  const other = letter === "x" ? "y" : "x";
  return limits(column).map(([, value]) => ({
    type: "line",
    layer: "below",
    [`${letter}0`]: value,
    [`${letter}1`]: value,
    [`${other}0`]: 0,
    [`${other}1`]: 1,
    [`${other}ref`]: "paper",
    line: { color: colour("orange"), width: 1.5, dash: "dash" },
  }));
}

function budgetNames(column, letter, log) {
  return limits(column).map(([, value]) => ({
    [letter]: log ? Math.log10(value) : value,
    [letter === "x" ? "y" : "x"]: 1,
    [letter === "x" ? "yref" : "xref"]: "paper",
    text: `budget ${safe(column.budget)}`,
    showarrow: false,
    font: { size: 12, color: colour("orange") },
    xanchor: "right",
    yanchor: letter === "x" ? "top" : "bottom",
    xshift: letter === "x" ? -4 : 0,
  }));
}
