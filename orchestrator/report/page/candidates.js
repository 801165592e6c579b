// The table of all candidates: filter, search, sort, open.
import { DATA, FINAL, FRONT, capital, el, pressable, section } from "./dom.js";

const TABLE = { filter: "all", words: "", sort: 0, down: false, open: new Set(), limit: 25 };

export function candidatesSection() {
  const all = DATA.records.length;
  const node = section(
    "candidates",
    "Candidates",
    DATA.total > all
      ? `${all} of ${DATA.total} are listed: the front, the finalists and the latest.`
      : "Every candidate of the search. Click a heading to sort, a row for its choices.",
  );
  if (!all) {
    node.append(el("p", { class: "note" }, "No candidate has finished yet."));
    return;
  }
  const controls = el("div", { class: "controls" });
  const table = el("table", {}, el("thead"), el("tbody"));
  const foot = el("div", { class: "controls", style: "margin-top:12px" });
  node.append(controls, el("div", { class: "scroll" }, table), foot);
  TABLE.draw = () => {
    // Rows and headings are made anew; whoever uses the keyboard stays where they were.
    const focused = document.activeElement.id;
    drawTable(controls, table, foot);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };
  TABLE.draw();
}

const FILTERS = {
  all: () => true,
  front: (r) => FRONT.has(r.number),
  feasible: (r) => r.outcome === "feasible",
  rejected: (r) => r.outcome === "rejected",
  stopped: (r) => r.outcome === "stopped",
  failed: (r) => r.outcome === "failed",
};

function tableColumns() {
  const figures = DATA.columns.map((column, i) => ({
    name: column.label,
    key: (r) => r.figures[i],
    cell: (r) => r.texts[i] || "–",
  }));
  return [
    { name: "#", key: (r) => r.number, cell: (r) => String(r.number) },
    {
      name: "outcome",
      left: true,
      key: (r) => `${FRONT.has(r.number) ? 0 : 1}${r.outcome}`,
      cell: outcomeCell,
    },
    ...figures,
    {
      name: "time",
      key: (r) => r.seconds || null,
      cell: (r) =>
        r.seconds ? `${r.seconds < 100 ? r.seconds.toFixed(1) : Math.round(r.seconds)} s` : "–",
    },
    { name: "origin", left: true, key: (r) => r.origin, cell: (r) => r.origin },
    { name: "why", left: true, key: (r) => r.why, cell: (r) => r.why, class: "why" },
  ];
}

function outcomeCell(record) {
  const front = FRONT.has(record.number) ? " · front" : "";
  const star = FINAL.has(record.number) ? " ★" : "";
  return el("span", { class: `badge ${record.outcome}` }, record.outcome + front + star);
}

function drawTable(controls, table, foot) {
  const columns = tableColumns();
  if (!controls.children.length) drawFilters(controls);
  controls
    .querySelectorAll("button")
    .forEach((button) => button.setAttribute("aria-pressed", button.value === TABLE.filter));
  table.tHead.replaceChildren(
    el(
      "tr",
      {},
      columns.map((column, i) => heading(column, i)),
    ),
  );
  const rows = chosenRows(columns[TABLE.sort].key);
  table.tBodies[0].replaceChildren(
    ...rows.slice(0, TABLE.limit).flatMap((record) => rowsOf(record, columns)),
  );
  const more = () => {
    TABLE.limit = Infinity;
    TABLE.draw();
  };
  const rest = rows.length - TABLE.limit;
  foot.replaceChildren(
    ...(rest > 0
      ? [el("button", { onclick: more }, `Show ${rest} more`)]
      : rows.length
        ? []
        : ["Nothing matches."]),
  );
}

function drawFilters(controls) {
  for (const [name, test] of Object.entries(FILTERS)) {
    const count = DATA.records.filter(test).length;
    const choose = () => {
      TABLE.filter = name;
      TABLE.draw();
    };
    if (count || name === "all")
      controls.append(el("button", { value: name, onclick: choose }, `${capital(name)} ${count}`));
  }
  const typed = (event) => {
    TABLE.words = event.target.value.toLowerCase();
    TABLE.draw();
  };
  controls.append(
    el("input", {
      type: "search",
      placeholder: "Search choices, reasons, ids",
      "aria-label": "Search",
      oninput: typed,
    }),
  );
}

function heading(column, i) {
  const chosen = TABLE.sort === i;
  const click = () => {
    TABLE.down = chosen ? !TABLE.down : false;
    TABLE.sort = i;
    TABLE.draw();
  };
  const arrow = chosen ? (TABLE.down ? " ↓" : " ↑") : "";
  return el(
    "th",
    {
      class: column.left ? "left" : null,
      id: `heading-${i}`,
      ...pressable(click),
      "aria-sort": chosen ? (TABLE.down ? "descending" : "ascending") : null,
    },
    column.name + arrow,
  );
}

function chosenRows(key) {
  const text = (r) =>
    [
      r.id,
      r.outcome,
      r.made,
      r.origin,
      r.why,
      ...DATA.choices.map((name, i) => (r.choices[i] === null ? "" : `${name}=${r.choices[i]}`)),
    ]
      .join(" ")
      .toLowerCase();
  const rows = DATA.records
    .filter(FILTERS[TABLE.filter])
    .filter((r) => !TABLE.words || text(r).includes(TABLE.words));
  const unknown = (value) => value === null || value === "";
  return rows.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    // What is unknown stays at the end, whichever way the rest is sorted.
    if (unknown(x) || unknown(y)) return Number(unknown(x)) - Number(unknown(y));
    return (x < y ? -1 : x > y ? 1 : 0) * (TABLE.down ? -1 : 1);
  });
}

function rowsOf(record, columns) {
  const open = TABLE.open.has(record.number);
  const click = () => {
    if (!TABLE.open.delete(record.number)) TABLE.open.add(record.number);
    TABLE.draw();
  };
  const cells = columns.map((column) =>
    el("td", { class: column.class || (column.left ? "left" : null) }, column.cell(record)),
  );
  const row = el(
    "tr",
    {
      id: `candidate-${record.number}`,
      class: open ? "row open" : "row",
      ...pressable(click),
      "aria-expanded": String(open),
    },
    cells,
  );
  return open
    ? [row, el("tr", { class: "detail" }, el("td", { colspan: columns.length }, details(record)))]
    : [row];
}

function details(record) {
  const answers = DATA.choices
    .map((name, i) => [name, record.choices[i]])
    .filter((pair) => pair[1] !== null);
  const list = (pairs) =>
    el(
      "div",
      { class: "columns" },
      pairs.map(([name, value]) => el("div", {}, el("span", {}, name), el("b", {}, String(value)))),
    );
  return el(
    "div",
    {},
    el("p", { class: "id" }, `Candidate ${record.id}`),
    list(answers),
    record.extra.length ? el("h3", { style: "margin-top:14px" }, "Also known") : null,
    record.extra.length ? list(record.extra) : null,
  );
}

export function openCandidate(number) {
  Object.assign(TABLE, { filter: "all", words: "", limit: Infinity });
  document.querySelector("#candidates input").value = "";
  TABLE.open = new Set([number]);
  TABLE.draw();
  document.getElementById(`candidate-${number}`)?.scrollIntoView({ block: "center" });
}
