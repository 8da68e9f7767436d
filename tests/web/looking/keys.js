// Texts and labels that look like the key of a word that is missing: "audit.title".
() => {
  const key = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$|\{\w+\}|^(undefined|null|NaN|\[object \w+\])$/;
  const known = new Set(["gateway.v1"]);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!element.checkVisibility() || element.closest("code, .mono, [data-verbatim]")) continue;
    found.push(walker.currentNode.data.trim());
  }
  for (const name of ["aria-label", "title", "placeholder", "alt"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) found.push(element.getAttribute(name));
  }
  const isForeign = (text) => text.includes("7*7");
  return [...new Set(found.filter((text) => key.test(text) && !known.has(text) && !isForeign(text)))];
};
