// Asking a person, and telling him.
import { fill, h } from "./dom.js";
import { t } from "./words.js";

const NOTICE_MS = 6_000;
let notices = null;

/**
 * Ask; resolves to the values by name, or null if the person thinks better of it.
 *
 * `fields`: `{name, label, type, value, options: [[value, label]], required, ...attributes}`; type "textarea", "select",
 * "choice" (buttons), or one of an input's; `only: {of: name, are: [value]}`: asked only if that field has such a value.
 * `danger`: what is confirmed cannot be undone.
 */
export function ask({ title, text, fields = [], confirm, danger = false, is_problem = false }) {
  return new Promise((resolve) => {
    const inputs = fields.map(({ only, ...field }) => ({ ...control(field), only }));
    const form = h(
      "form",
      { method: "dialog", class: "stack" },
      h("h2", {}, title),
      text && h("p", { class: is_problem ? "problem" : "muted", role: is_problem ? "alert" : null }, text),
      inputs.map(({ node }) => node),
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, t("cancel")),
        h("button", { type: "submit", class: ["button", danger ? "danger" : "primary"] }, confirm || t("confirm")),
      ),
    );
    const dialog = h("dialog", { class: "dialog", "aria-label": title }, form);
    const narrow = () => {
      for (const { node, only } of inputs.filter((each) => each.only)) {
        node.hidden = !only.are.includes(inputs.find((other) => other.name === only.of).value());
        for (const input of node.querySelectorAll("input")) input.disabled = node.hidden;
      }
    };
    form.addEventListener("change", narrow);
    narrow();
    let values = null;
    form.addEventListener("submit", () => {
      values = Object.fromEntries(inputs.map(({ name, value }) => [name, value()]));
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(values);
    });
    document.body.append(dialog);
    dialog.showModal();
    (dialog.querySelector("[autofocus], input, select, textarea") || dialog.querySelector(".primary, .danger"))?.focus();
  });
}

/** Show something that is not asked; resolves when it is closed. */
export function show(title, ...children) {
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-label": title },
    h(
      "div",
      { class: "stack" },
      h("h2", {}, title),
      children,
      h("div", { class: "row end" }, h("button", { class: "button", onclick: () => dialog.close() }, t("close"))),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
  });
}

/** Tell in passing; `kind`: "ok", "problem" or "info". */
export function notify(text, kind = "info") {
  if (!notices) {
    notices = h("div", { class: "notices", role: "status", "aria-live": "polite" });
    document.body.append(notices);
  }
  const notice = h("div", { class: ["notice", kind] }, h("span", {}, text));
  const close = () => notice.remove();
  notice.append(h("button", { class: "icon", "aria-label": t("close"), onclick: close }, "×"));
  notices.append(notice);
  // What went wrong stays until it was read.
  if (kind !== "problem") setTimeout(close, NOTICE_MS);
}

let fieldCount = 0;

function control({ name, label, type = "text", value = "", options = [], hint, ...attributes }) {
  fieldCount += 1;
  const id = `field-${fieldCount}`;
  if (type === "choice") return choice(name, label, options, value);
  let input = null;
  if (type === "select") {
    input = h("select", { id, ...attributes }, options.map(([of, says]) => h("option", { value: of }, says)));
    input.value = value;
  } else if (type === "textarea") {
    input = h("textarea", { id, rows: 3, ...attributes });
    input.value = value;
  } else {
    input = h("input", { id, type, value, autocomplete: "off", ...attributes });
  }
  const node = h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("small", { class: "muted" }, hint));
  return { name, node, value: () => input.value.trim() };
}

function choice(name, label, options, value) {
  const group = `choice-${fieldCount}`;
  const node = h(
    "fieldset",
    { class: "field choice" },
    h("legend", {}, label),
    options.map(([of, says]) =>
      h(
        "label",
        { class: "option" },
        h("input", { type: "radio", name: group, value: of, required: true, checked: of === value }),
        h("span", {}, says),
      ),
    ),
  );
  return { name, node, value: () => node.querySelector("input:checked")?.value ?? "" };
}

/** An empty place that says what to do. */
export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("strong", {}, title), text && h("p", {}, text), actions.length > 0 && h("div", { class: "row" }, actions));
}

/** Put "being read" into a node. */
export function loading(node) {
  return fill(node, h("div", { class: "empty", role: "status" }, t("loading")));
}
