// Tables that turn into cards on a phone.
import { fill, h } from "./dom.js";
import { empty as emptyPlace } from "./dialog.js";
import { t } from "./words.js";

/**
 * A table of `rows`. `columns`: `{title, render(row) -> node or text, align: "right", class}`.
 * `empty`: what is said of none, a text or a node; `onrow(row)`: what a click or Enter on a row does; `caption`.
 */
export function table(columns, rows, { empty, onrow, caption } = {}) {
  if (rows.length === 0) return empty instanceof Node ? empty : emptyPlace(empty || t("nothing"));
  const body = h("tbody", {}, rows.map((row) => line(columns, row, onrow)));
  const head = h("tr", {}, columns.map((column) => h("th", { scope: "col", class: sides(column) }, column.title)));
  return h(
    "div",
    { class: "table-place" },
    h("table", { class: "table" }, caption && h("caption", {}, caption), h("thead", {}, head), body),
  );
}

/** Add rows at the end of what `table` has made. */
export function more(place, columns, rows, { onrow } = {}) {
  place.querySelector("tbody").append(...rows.map((row) => line(columns, row, onrow)));
}

function line(columns, row, onrow) {
  const cells = columns.map((column) => fill(h("td", { class: sides(column), "data-label": column.title }), column.render(row)));
  const props = onrow
    ? {
        tabindex: 0,
        class: "link",
        onclick: (event) => event.target.closest("a, button, input") || onrow(row),
        onkeydown: (event) => event.key === "Enter" && event.target === event.currentTarget && onrow(row),
      }
    : {};
  return h("tr", props, cells);
}

function sides(column) {
  return [column.align === "right" && "right", column.class];
}
