// What lies beside the screen, and what is too small to hit with a thumb (WCAG 2.2, 2.5.8: 24 pixels).
() => {
  const wrong = [];
  const name = (element) => `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") || ""}"> ${(element.textContent || "").trim().slice(0, 30)}`;
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  if (wide > 0) {
    wrong.push(`the page is ${wide} px too wide`);
    for (const element of document.querySelectorAll("body *")) {
      if (element.getBoundingClientRect().right > window.innerWidth + 1 && wrong.length < 8) wrong.push(name(element));
    }
  }
  for (const element of document.querySelectorAll("button, .button, nav a, input, select, summary")) {
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const { width, height } = element.getBoundingClientRect();
    if (width && (width < 24 || height < 24) && !["checkbox", "radio"].includes(element.type)) wrong.push(`${Math.round(width)}x${Math.round(height)}: ${name(element)}`);
  }
  return wrong;
};
