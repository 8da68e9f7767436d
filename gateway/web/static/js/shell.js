// The frame around every page: where one can go, whose stock it is, how old what is shown is, who is signed in.
import { fill, h, keepingFocus, mark, s, say } from "./dom.js";
import { clock, duration } from "./format.js";
import { ledgerNow } from "./ledger_time.js";
import { live } from "./live.js";
import { session, signIn, signOut } from "./session.js";
import { lang, setLang, t } from "./words.js";

const NAV = [
  ["now", "/"],
  ["channels", "/channels"],
  ["shortfalls", "/shortfalls"],
  ["streams", "/streams"],
  ["drills", "/drills"],
  ["review", "/review"],
  ["audit", "/audit"],
];
const THEMES = ["auto", "light", "dark"];
const main = h("main", { id: "content", tabindex: -1 });
const header = h("header", { class: "top" });
const skip = h("a", { class: "skip", href: "#content" });
const freshness = h("span", { class: "fresh" });
// Its words change all the time; that it is old, or not any more, is told once.
const told = h("span", { class: "hidden-text", role: "status" });
const old = h("div", { class: "old-strip", hidden: true });
const drill = h("div", { class: "drill-banner", hidden: true, role: "status" });
let current = "";
let drawn = null;
let drillShown = "";

skip.addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

/** Where a page is put. */
export function content() {
  return main;
}

/** What the tab is called. */
export function titled(text) {
  document.title = text === t("title") ? text : `${text} · ${t("title")}`;
}

/** Show where one is. */
export function markNav(name) {
  current = name || "";
  for (const link of document.querySelectorAll("nav a")) {
    mark(link, "aria-current", link.dataset.nav === current ? "page" : null);
  }
}

/** Say across every page that a drill is on, or stop saying it: `{id, name}` or null. */
export function showDrill(found) {
  const shown = JSON.stringify(found);
  if (shown === drillShown) return;
  drillShown = shown;
  drill.hidden = !found;
  if (found) fill(drill, h("strong", {}, t("drill.on")), " ", h("a", { href: `/drills/${found.id}` }, found.name || `#${found.id}`));
}

/** Draw the frame, in the language of now. */
export function drawShell({ showKeys, redraw }) {
  drawn = { showKeys, redraw };
  const isIn = location.pathname !== "/login";
  drillShown = "";
  say(skip, t("skip"));
  const wasOpen = Boolean(header.querySelector("details")?.open);
  const parts = [
    h("a", { class: "brand", href: "/", "aria-label": t("title") }, logo(), h("span", {}, "stockgate")),
    isIn && h("nav", { "aria-label": t("nav.label") }, NAV.map(([name, path]) => h("a", { href: path, dataset: { nav: name } }, t(`nav.${name}`)))),
    h(
      "div",
      { class: "row tight tools" },
      isIn && session.merchant && h("span", { class: "merchant", title: t("merchant") }, session.merchant),
      isIn && freshness,
      isIn && pauseButton(),
      menu(wasOpen),
    ),
  ];
  keepingFocus(header, () => fill(header, parts));
  if (!main.isConnected) fill(document.getElementById("shell"), skip, header, old, drill, main, told);
  markNav(current);
  tellAge();
}

function menu(isOpen) {
  const name = session.actor;
  const pop = h(
    "div",
    { class: "menu card" },
    h("div", { class: "muted small" }, name ? t("menu.as", { name }) : t("menu.nobody")),
    name
      ? h("button", { class: "button quiet", onclick: () => signOut().then(redrawn) }, t("sign.out"))
      : h("button", { class: "button quiet", onclick: () => signIn() }, t("sign.in")),
    h("div", { class: "row", role: "group", "aria-label": t("menu.language") }, languageButton("zh", "中文"), languageButton("en", "English")),
    h("div", { class: "row", role: "group", "aria-label": t("menu.theme") }, THEMES.map(themeButton)),
    h("a", { class: "button quiet", href: "/trace", onclick: () => (details.open = false) }, t("trace.recent")),
    h("button", { class: "button quiet", onclick: () => drawn.showKeys() }, t("keys.title")),
    session.version && h("div", { class: "muted small" }, `stockgate ${session.version}`),
  );
  const details = h(
    "details",
    { class: "menu-place", open: isOpen },
    h("summary", { dataset: { focus: "menu" }, class: "button quiet", "aria-label": t("menu.label") }, person(), h("span", { class: "who" }, name || t("menu.guest"))),
    pop,
  );
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    details.querySelector("summary").focus();
  });
  details.addEventListener("focusout", (event) => {
    if (!details.contains(event.relatedTarget) && event.relatedTarget) details.open = false;
  });
  return details;
}

function redrawn() {
  drawShell(drawn);
}

function languageButton(name, says) {
  return h("button", { class: "button quiet", "aria-pressed": String(lang() === name), lang: name === "zh" ? "zh-CN" : "en", onclick: () => setLang(name) }, says);
}

function themeButton(name) {
  const chosen = document.documentElement.dataset.theme === name;
  return h("button", { class: "button quiet", "aria-pressed": String(chosen), onclick: () => setTheme(name) }, t(`theme.${name}`));
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("stockgate.theme", name);
  } catch {
    // Not kept, but chosen.
  }
  drawn.redraw();
  redrawn();
}

function pauseButton() {
  const paused = live.state() === "paused";
  const toggle = () => {
    if (live.state() === "paused") live.resume();
    else live.pause();
    redrawn();
  };
  return h(
    "button",
    { class: "icon pause", dataset: { focus: "pause" }, "aria-pressed": String(paused), "aria-label": t(paused ? "live.resume" : "live.pause"), title: t(paused ? "live.resume" : "live.pause"), onclick: toggle },
    s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: paused ? "M4 2.5v11l9-5.5z" : "M4 2.5h3v11H4zM9 2.5h3v11H9z", fill: "currentColor" })),
  );
}

// ---- how old it is

function tellAge() {
  const state = live.state();
  const age = live.age();
  mark(freshness, "data-state", state);
  mark(document.documentElement, "data-live", state);
  say(freshness, age === null ? t("live.connecting") : t(`live.${state}`, { age: duration(age) }));
  old.hidden = state !== "stale" || document.hidden;
  if (!old.hidden) say(old, age === null ? t("live.never") : t("live.old", { at: clock(ledgerNow() - age) }));
  say(told, state === "stale" ? old.textContent : t(`live.is_${state}`));
}

live.on("state", tellAge);
setInterval(tellAge, 200);

document.addEventListener("click", (event) => {
  const open = document.querySelector("details.menu-place[open]");
  // What was pressed may be made anew by now: where it was is what counts.
  if (open && !event.composedPath().some((node) => node.classList?.contains("menu-place"))) open.open = false;
});

function logo() {
  return s(
    "svg",
    { viewBox: "0 0 32 32", "aria-hidden": "true" },
    s("path", { d: "M7 23V11l9-4.5L25 11v12", fill: "none", stroke: "currentColor", "stroke-width": 3, "stroke-linejoin": "round", "stroke-linecap": "round" }),
    s("path", { d: "M12 25v-7.5h8V25", fill: "none", stroke: "currentColor", "stroke-width": 3, "stroke-linejoin": "round", "stroke-linecap": "round" }),
  );
}

function person() {
  return s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm-5.5 6a5.5 5.5 0 0 1 11 0z", fill: "currentColor" }));
}
