// Making elements. Text gets in through text nodes only, whatever is written in it.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("a", {href: "/", class: "x", onclick: f}, "text", child, [more])`. Nothing comes of null and false. */
export function h(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

/** Replace what is in a node. */
export function fill(node, ...children) {
  node.replaceChildren(...nodes(children));
  return node;
}

/** Set a text if it is another one: an unchanged node is not painted again. */
export function say(node, text) {
  const next = String(text ?? "");
  if (node.textContent !== next) node.textContent = next;
  return node;
}

/** Set an attribute if it is another one; null and false take it away. */
export function mark(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const next = value === true ? "" : String(value);
    if (node.getAttribute(name) !== next) node.setAttribute(name, next);
  }
  return node;
}

/** Change what is in a node; who had the focus there keeps it: on the same thing, or on what is around it. */
export function keepingFocus(node, change) {
  const had = node.contains(document.activeElement) ? document.activeElement : null;
  const name = had && nameOf(had);
  change();
  if (had && document.activeElement !== had) refocus(node, had.isConnected ? had : name);
}

/** The focus to an element, or to the first in `node` that is called so. */
export function refocus(node, wanted) {
  const found = wanted instanceof Node ? wanted : [...node.querySelectorAll("a, button, input, select, summary, [tabindex]")].find((one) => nameOf(one) === wanted);
  (found || node.closest("[tabindex]"))?.focus({ preventScroll: true });
}

/** What an element is known by when it is made anew. */
export function nameOf(node) {
  const { focus } = node.dataset;
  return focus || [node.tagName, node.closest("[data-key]")?.dataset.key, node.getAttribute("aria-label") || node.textContent].join(" ");
}

function build(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) set(node, name, value);
  node.append(...nodes(children));
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) {
    node.addEventListener(name.slice(2), value);
  } else if (name === "class") {
    node.setAttribute("class", Array.isArray(value) ? value.filter(Boolean).join(" ") : value);
  } else if (name === "dataset") {
    Object.assign(node.dataset, value);
  } else if (name === "style") {
    for (const [property, of] of Object.entries(value)) node.style.setProperty(property, of);
  } else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") {
    node[name] = value;
  } else if (name === "href" || name === "src") {
    // Only to ourselves: an address from a message is not to become a script or another site.
    if (/^(\/(?!\/)|#|\?)/.test(String(value))) node.setAttribute(name, value);
  } else {
    node.setAttribute(name, value === true ? "" : value);
  }
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}
