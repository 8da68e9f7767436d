// The page: which addresses there are, and what is shown at each.
import { redraw } from "./chart.js";
import { show } from "./dialog.js";
import { fill, h, nameOf, refocus } from "./dom.js";
import { begin, live } from "./live.js";
import { errorText, look, onSession, readSession, session, toLogin } from "./session.js";
import { content, drawShell, markNav, showDrill, titled } from "./shell.js";
import { addWords, onLang, t } from "./words.js";
import { words as errorWords } from "./error_words.js";
import { words } from "./vocabulary.js";

import audit, { words as auditWords } from "./pages/audit.js";
import channels, { words as channelWords } from "./pages/channels.js";
import drill from "./pages/drill.js";
import drills, { words as drillWords } from "./pages/drills.js";
import login from "./pages/login.js";
import now, { words as nowWords } from "./pages/now.js";
import reviews, { one as review, words as reviewWords } from "./pages/review.js";
import shortfalls, { words as shortfallWords } from "./pages/shortfalls.js";
import sku, { search, words as skuWords } from "./pages/sku.js";
import streams, { words as streamWords } from "./pages/streams.js";
import trace, { list as traces, words as traceWords } from "./pages/trace.js";

// One line each: the page, and its words.
const pages = [[now, nowWords], [reviews, reviewWords], [review], [drills, drillWords], [drill], [traces, traceWords], [trace], [shortfalls, shortfallWords], [search, skuWords], [sku], [audit, auditWords], [channels, channelWords], [streams, streamWords], [login]];

addWords(words);
addWords(errorWords);
for (const [, more] of pages) if (more) addWords(more);

const routes = pages.map(([page]) => ({ page, ...pattern(page.path) }));
let leave = null;
let keys = [];
let turn = 0;

const FRAMES_OF_SCROLL = 30;
// What may be over in a moment; a page that could not be read for it is read again.
const PASSING = ["NETWORK", "HTTP", "DATABASE_UNAVAILABLE", "SHUTTING_DOWN", "DEADLINE_EXCEEDED", "INTERNAL"];
const AGAIN_MS = 3_000;

/** Go to another address of the page, without loading it anew. */
export async function go(path, { replace = false } = {}) {
  if (replace) {
    const focused = content().contains(document.activeElement) && nameOf(document.activeElement);
    history.replaceState(history.state, "", path);
    await render();
    if (focused) refocus(content(), focused);
    return;
  }
  history.replaceState({ scroll: window.scrollY }, "");
  history.pushState(null, "", path);
  window.scrollTo(0, 0);
  content().focus({ preventScroll: true });
  await render();
}

/** Back, to where one had scrolled to; or on again. */
async function back() {
  const scroll = history.state?.scroll || 0;
  await render();
  // What a page shows in its first frames has its height by then.
  for (let frame = 0; frame < FRAMES_OF_SCROLL && Math.abs(window.scrollY - scroll) > 1; frame += 1) {
    window.scrollTo(0, scroll);
    await new Promise(requestAnimationFrame);
  }
}

async function render() {
  turn += 1;
  const mine = turn;
  leave?.();
  leave = null;
  keys = [];
  const found = match(location.pathname);
  const root = fill(content());
  markNav(found?.page.nav);
  if (!found) {
    titled(t("lost.title"));
    fill(root, h("div", { class: "empty" }, h("strong", {}, t("lost.title")), h("p", {}, t("lost.text")), h("a", { class: "button", href: "/" }, t("lost.back"))));
    return;
  }
  titled(found.page.nav ? t(`nav.${found.page.nav}`) : t("title"));
  const context = {
    params: found.params,
    query: new URLSearchParams(location.search),
    go,
    /** While the page is shown, a key does this; it is listed under "?". */
    key: (key, label, does) => mine === turn && keys.push({ key, label, does }),
  };
  try {
    const ends = await found.page.mount(root, context);
    if (mine === turn) leave = ends || null;
    else ends?.();
  } catch (error) {
    if (mine !== turn) return;
    fill(root, failed(error));
    if (PASSING.includes(error.reason)) setTimeout(() => mine === turn && render(), AGAIN_MS);
    if (!error.reason) throw error;
  }
}

function failed(error) {
  return h(
    "div",
    { class: "empty", role: "alert" },
    h("strong", {}, t("failed.title")),
    h("p", {}, errorText(error)),
    h("button", { class: "button", onclick: () => render() }, t("again")),
  );
}

function match(path) {
  for (const { page, names, regex } of routes) {
    const found = regex.exec(path);
    if (found) return { page, params: Object.fromEntries(names.map((name, place) => [name, decoded(found[place + 1])])) };
  }
  return null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `/drills/:id`, and `/sku/:sku` for codes with slashes too. */
function pattern(path) {
  const names = [];
  const regex = path.replace(/:(\w+)/g, (_, name) => {
    names.push(name);
    return "(.+)";
  });
  return { names, regex: new RegExp(`^${regex}/?$`) };
}

// ---- links and keys

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/static/") || link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  go(link.pathname + link.search + link.hash);
});

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.isComposing) return;
  if (event.target.closest?.("input, textarea, select, dialog")) return;
  const does = event.key === "?" ? showKeys : keys.find(({ key }) => key === event.key)?.does;
  if (does) {
    event.preventDefault();
    does(event);
  }
});

function showKeys() {
  const all = [...keys, { key: "?", label: t("keys.this") }];
  const lines = all.map(({ key, label }) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, label)]);
  show(t("keys.title"), h("dl", { class: "keys" }, lines));
}

// ---- begin

async function start() {
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", back);
  onLang(() => {
    drawShell({ showKeys, redraw });
    render();
  });
  drawShell({ showKeys, redraw });
  try {
    await readSession();
  } catch (error) {
    if (error.reason === "SIGN_IN") toLogin();
  }
  drawShell({ showKeys, redraw });
  let merchant = session.merchant;
  onSession(() => {
    drawShell({ showKeys, redraw });
    // Whose stock it is may have changed with who looks.
    if (session.merchant !== merchant) {
      merchant = session.merchant;
      live.restart();
      render();
    }
  });
  // Refused for good: perhaps nobody is signed in any more.
  live.on("refused", look);
  live.on("tick", ({ drill }) => {
    showDrill(drill);
    // The gateway was away when it was asked who we are.
    if (!session.merchant) look();
  });
  if (location.pathname !== "/login") begin();
  await render();
}

start();
