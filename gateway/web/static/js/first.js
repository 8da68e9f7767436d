// Before anything is painted: the theme and the language that were chosen here last.
(() => {
  const root = document.documentElement;
  try {
    root.dataset.theme = localStorage.getItem("stockgate.theme") || "auto";
    root.lang = localStorage.getItem("stockgate.lang") === "en" ? "en" : "zh-CN";
  } catch {
    // A browser that keeps nothing gets the defaults each time.
  }
})();
