// What a finalist is worth class by class, what it takes for what, and its worst mistakes.
import { el } from "./dom.js";

// What each class is worth, with the colour it has in pictures.
export function classTable(classes) {
  if (!classes.rows.length) return null;
  const swatch = (colour) =>
    colour ? el("i", { class: "swatch", style: `background:${colour}` }) : null;
  return el(
    "details",
    { class: "classes" },
    el("summary", {}, "Class by class"),
    el(
      "table",
      {},
      el(
        "tr",
        {},
        el("th", {}, "class"),
        classes.heads.map((head) => el("th", {}, head)),
      ),
      classes.rows.map((row) =>
        el(
          "tr",
          {},
          el("td", {}, swatch(row.colour), row.name),
          row.cells.map((cell) => el("td", {}, cell)),
        ),
      ),
    ),
  );
}

// Rows are the truth, columns the answer; the darker, the larger the share of its row.
export function confusionTable(found) {
  if (!found) return null;
  return el(
    "details",
    { class: "classes" },
    el("summary", {}, "What is taken for what"),
    found.names.length ? confusionMatrix(found) : null,
    el("p", { class: "id" }, found.mistakes.join(" · ") || "Nothing on test is answered wrongly."),
  );
}

function confusionMatrix(found) {
  const heads = found.names.map((name) => el("th", {}, name));
  const rows = found.rows.map((row, truth) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, answer) => {
      const shade = count ? `--share:${Math.round((100 * count) / total)}%` : "";
      return el("td", { class: truth === answer ? "right" : "", style: shade }, count || "");
    });
    return el("tr", {}, el("th", {}, found.names[truth]), cells);
  });
  const head = el("tr", {}, el("th", {}, "true ↓ answered →"), heads);
  return el("div", { class: "scroll" }, el("table", { class: "confusion" }, head, rows));
}

// What the shipped file is most wrong about. A picture alone says in its caption what it is.
export function pictureRows(rows) {
  if (!rows.length) return null;
  const alone = rows.every((row) => row.length === 1);
  const shown = alone ? mistakeFigures(rows.flat()) : beside(rows);
  return el("div", {}, el("h3", {}, "Worst mistakes on test"), shown);
}

function mistakeFigures(pictures) {
  const figures = pictures.map((picture) =>
    el(
      "figure",
      {},
      el("img", { src: picture.uri, alt: picture.label }),
      el("figcaption", {}, picture.label),
    ),
  );
  return el("div", { class: "mistakes" }, figures);
}

// Test images beside their truth and what the shipped file answers.
function beside(rows) {
  return el(
    "div",
    { class: "pictures" },
    rows.map((row, index) =>
      el(
        "div",
        { class: "row" },
        row.map((picture) =>
          el(
            "figure",
            {},
            index ? null : el("figcaption", {}, picture.label),
            el("img", { src: picture.uri, alt: `${picture.label} of test image ${index + 1}` }),
          ),
        ),
      ),
    ),
  );
}
