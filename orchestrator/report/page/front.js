// The trade-off: any two columns against each other, coloured by a third or by a choice.
// Its pickers live in the address (#x=…&y=…), so that a view can be shared.
import { openCandidate } from "./candidates.js";
import { DATA, capital, el, picker, section, toggle } from "./dom.js";
import { plot } from "./plots.js";
import { SHOWN, frontFigure } from "./scatter.js";

export function frontSection() {
  if (!DATA.columns.length || !DATA.records.length) return;
  const node = section(
    "front",
    "Trade-off",
    "Each mark is a candidate; filled ones are on the front over all objectives, where nothing else is better in everything. The line is the best reachable with the two chosen objectives alone. Drag to zoom, double-click to return and again to see everything, click a mark for its details.",
  );
  const state = frontState();
  const controls = el("div", { class: "controls" });
  node.append(controls);
  const view = plot(node, 520, () => frontFigure(state), "Scatter plot of candidates", true);
  const change = (key) => (value) => {
    state[key] = value;
    rememberState(state);
    view.draw();
  };
  const columns = DATA.columns.map((column) => [column.name, capital(column.label)]);
  const order = ["#", "Order of the search"];
  const choices = DATA.choices.map((name) => [`=${name}`, name]);
  controls.append(
    picker("Across", [...columns, order], state.x, change("x")),
    toggle("log", state.logx, change("logx")),
    picker("Up", columns, state.y, change("y")),
    toggle("log", state.logy, change("logy")),
    picker(
      "Colour",
      [["", "Front or not"], order, ...columns, ...choices],
      state.colour,
      change("colour"),
    ),
    toggle("lost candidates", state.lost, change("lost")),
  );
  view.box.on("plotly_click", (event) => {
    const number = event.points[0].customdata;
    if (number !== undefined) openCandidate(number);
  });
}

function frontState() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const known = (name) => SHOWN.some((column) => column.name === name);
  const up =
    DATA.columns.find((column) => column.direction === "maximize") ||
    DATA.columns[DATA.columns.length - 1];
  const across = SHOWN.find((column) => column !== up);
  const paint = asked.get("colour") || "";
  const valid = known(paint) || DATA.choices.includes(paint.slice(1));
  return {
    x: known(asked.get("x")) ? asked.get("x") : across.name,
    y: known(asked.get("y")) ? asked.get("y") : up.name,
    colour: valid ? paint : "",
    logx: asked.get("logx") === "1",
    logy: asked.get("logy") === "1",
    lost: asked.get("lost") !== "0",
  };
}

function rememberState(state) {
  const words = new URLSearchParams({ x: state.x, y: state.y, colour: state.colour });
  if (state.logx) words.set("logx", "1");
  if (state.logy) words.set("logy", "1");
  if (!state.lost) words.set("lost", "0");
  // Some hosts that frame the page forbid this; the plot works without it.
  try {
    history.replaceState(null, "", `#${words}`);
  } catch {
    /* stays out of the address */
  }
}
