// Elements, sections and the page's state. Text enters the page as text nodes only, so whatever a
// record holds (error messages, names) can never become markup.

export const DATA = JSON.parse(document.getElementById("payload").textContent);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      node.setAttribute(name, value);
  }
  node.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== ""),
  );
  return node;
}

export function section(id, heading, lead, short = heading) {
  const node = el(
    "section",
    { id },
    el("h2", {}, heading),
    lead ? el("p", { class: "lead" }, lead) : null,
  );
  document.getElementById("sections").append(node);
  link(id, short);
  return node;
}

// In the page's head, to a section of that id.
export function link(id, text) {
  document.getElementById("links").append(el("a", { href: `#${id}` }, text));
}

export function side(heading, lead, parent) {
  const node = el("section", {}, el("h2", {}, heading), el("p", { class: "lead" }, lead));
  parent.append(node);
  return node;
}

export function picker(name, options, chosen, changed) {
  const box = el(
    "select",
    { onchange: (event) => changed(event.target.value) },
    options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)),
  );
  return el("label", {}, name, box);
}

export function toggle(name, checked, changed) {
  const box = el("input", {
    type: "checkbox",
    checked,
    onchange: (event) => changed(event.target.checked),
  });
  return el("label", {}, box, name);
}

// Attributes of an element that is no button and yet is pressed, by mouse or by keyboard.
export function pressable(pressed) {
  const onkeydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    pressed();
  };
  return { tabindex: 0, onclick: pressed, onkeydown };
}

// Columns of a grid so that no row is left nearly empty.
export function columnsFor(count, most) {
  return Math.ceil(count / Math.ceil(count / most)) || 1;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export const FRONT = new Set(DATA.front);
export const FINAL = new Map(
  DATA.finalists.flatMap((one) => one.numbers.map((number) => [number, one])),
);
export const RUNTIMES = [...new Set(DATA.records.map((record) => record.runtime))];
export const FEASIBLE = DATA.records.filter((record) => record.outcome === "feasible");
