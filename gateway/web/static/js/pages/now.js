// Now: what needs a look, most pressing first.
import { call } from "../api.js";
import { acknowledge, silence } from "../deciding.js";
import { empty, loading, notify } from "../dialog.js";
import { errorText } from "../session.js";
import { every } from "../polling.js";
import { fill, h, keepingFocus, mark, say } from "../dom.js";
import { number, tierChip, tierName, TIERS } from "../format.js";
import { byPressure, needsLook, rankOf, tierRank } from "../pressure.js";
import { addressOf, card, line } from "../card.js";
import { DrillStrip } from "../drill_strip.js";
import { keyOf, live } from "../live.js";
import { words } from "../now_words.js";
import { t } from "../words.js";

export { words };

const COMMANDS = "stockgate sku add MUG-1 --title 马克杯\nstockgate stock receive MUG-1 200";
const LINES_MAX = 500;
const FOUND_MAX = 100;
const SEARCH_MS = 250;
// What was found and is not on the board is read again.
const FOUND_MS = 2_000;
// Of more than these the rest are lines, with their tier beside.
const CARDS_MAX = 60;
// While a button is under the pointer its card stays there; but no longer than this.
const HOLD_MS = 5_000;
// Nodes changed in one frame, so that a burst is spread over frames.
const NODES_PER_FRAME = 80;
// Lines that only trade places are put in order so seldom, so that nothing moves under the pointer.
const ORDER_MS = 5_000;

function mount(root, context) {
  const board = new Board(context);
  fill(root, board.node);
  if (live.tick() || live.rows().size) board.take({ full: true, rows: [...live.rows().values()], gone: [] });
  const ends = [
    live.on("board", (message) => board.take(message)),
    live.on("tick", (tick) => board.tick(tick)),
    every(FOUND_MS, board.found_place, () => board.words && board.look()),
  ];
  board.keys();
  if (live.tick()) board.tick(live.tick());
  return () => {
    for (const end of ends) end();
    board.end();
  };
}

class Board {
  constructor(context) {
    this.context = context;
    this.rows = new Map();
    this.shown = new Map();
    this.dirty = new Set();
    this.visible = new Set();
    this.frame = 0;
    this.ordered = 0;
    this.isOrderDue = true;
    this.selected = "";
    // Notices link to a SKU here, where whoever follows them can answer.
    this.words = context.query.get("q") || context.query.get("sku") || "";
    this.tier = TIERS.includes(context.query.get("tier")) ? context.query.get("tier") : "";
    this.searching = 0;
    this.held = 0;
    this.build();
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "200px" });
    if (this.words) this.search();
  }

  build() {
    this.input = h("input", { type: "search", value: this.words, placeholder: t("now.search"), "aria-label": t("now.search"), maxlength: 100, oninput: () => this.typed() });
    this.counts = h("div", { class: "row counts" });
    this.pending = h("div", { class: "row pending" });
    this.cards = h("div", { class: "cards live" });
    this.lines = h("div", { class: "lines live", role: "list" });
    this.restTitle = h("h2", { class: "rest-title" });
    this.rest = h("section", { class: "rest", hidden: true }, this.restTitle, heads(), this.lines);
    this.place = h("div", {});
    this.drill = new DrillStrip();
    this.found_place = h("div", {}, this.cards, this.rest);
    this.told = h("p", { class: "hidden-text", role: "status", "aria-live": "polite" });
    loading(this.place);
    this.node = h(
      "div",
      { class: "now" },
      h("div", { class: "page-head" }, h("h1", {}, t("nav.now")), this.counts, this.input),
      this.pending,
      this.drill.node,
      this.place,
      this.found_place,
      this.told,
    );
  }

  // ---- what is told

  take({ full, rows, gone }) {
    if (full) {
      const still = new Set(rows.map(keyOf));
      for (const key of this.rows.keys()) if (!still.has(key)) this.remove(key);
    }
    for (const key of gone) this.remove(key);
    for (const row of rows) {
      const key = keyOf(row);
      const before = this.rows.get(key);
      this.rows.set(key, row);
      this.dirty.add(key);
      if (!before || rankOf(before) !== rankOf(row)) this.isOrderDue = true;
      if (before && tierRank(row) > tierRank(before)) say(this.told, `${t(`tier.${tierName(row.tier)}`)} ${row.title || row.sku}`);
    }
    this.isHeard = true;
    this.schedule();
  }

  remove(key) {
    this.rows.delete(key);
    this.isOrderDue = true;
  }

  tick(tick) {
    const pending = [
      tick.alerts_stale && h("span", { class: "chip bad" }, t("now.alerts_stale")),
      tick.shortfalls > 0 && h("a", { class: "chip bad", href: "/shortfalls" }, t("now.shortfalls", { n: number(tick.shortfalls) })),
      tick.channels.map(({ channel, problem }) =>
        h("a", { class: "chip warn", href: "/channels" }, t(problem === "PAUSED" ? "now.channel_paused" : "now.channel_away", { channel })),
      ),
    ];
    const key = JSON.stringify([tick.alerts_stale, tick.shortfalls, tick.channels]);
    if (key !== this.pendingKey) {
      this.pendingKey = key;
      fill(this.pending, pending);
    }
    this.skus = tick.skus;
    this.drill.show(tick.drill);
    if (performance.now() - this.ordered > ORDER_MS) {
      this.isOrderDue = true;
      this.schedule();
    }
  }

  // ---- drawing, once per frame

  schedule() {
    if (!this.frame && !this.ended) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    if (this.isOrderDue) this.order();
    let changed = 0;
    for (const key of this.dirty) {
      if (!this.visible.has(key)) continue;
      if (changed >= NODES_PER_FRAME) {
        this.schedule();
        break;
      }
      this.dirty.delete(key);
      const row = this.rows.get(key);
      if (row) this.shown.get(key)?.set(row);
      changed += 1;
    }
  }

  /** Which rows are shown, as what, and where. */
  order() {
    this.isOrderDue = false;
    this.ordered = performance.now();
    const all = this.found ? this.found.map((row) => this.rows.get(keyOf(row)) || row) : [...this.rows.values()];
    const chosen = all.filter((row) => this.matches(row)).sort(byPressure);
    const pressing = chosen.filter(needsLook);
    const cards = pressing.slice(0, CARDS_MAX);
    const lines = [...pressing.slice(CARDS_MAX), ...chosen.filter((row) => !needsLook(row))].slice(0, LINES_MAX);
    if (this.isHeld()) {
      this.add(cards);
      return;
    }
    keepingFocus(this.found_place, () => {
      this.arrange(this.cards, cards, card);
      this.arrange(this.lines, lines, line);
    });
    for (const [key, shown] of this.shown) {
      if (!shown.node.isConnected) this.forget(key, shown);
    }
    this.rest.hidden = lines.length === 0;
    const isPart = !this.found && this.skus > cards.length + lines.length && !this.tier;
    if (this.found) say(this.restTitle, t("now.found", { n: number(chosen.length) }));
    else say(this.restTitle, isPart ? `${t("now.rest")} · ${t("now.rest_more", { shown: number(cards.length + lines.length), all: number(this.skus) })}` : t("now.rest"));
    this.sayPlace(chosen, cards);
    this.sayCounts(all);
    this.select(this.selected, { scrolls: false });
  }

  /** True while somebody is about to press a button: cards are not to change places under his hand. */
  isHeld() {
    const isPointed = this.cards.querySelector("button:hover, a:hover") !== null;
    if (!isPointed) this.held = 0;
    else if (!this.held) this.held = performance.now();
    const isHeld = isPointed && performance.now() - this.held < HOLD_MS;
    if (isPointed && !isHeld) this.held = 0;
    if (isHeld) setTimeout(() => this.orderSoon(), SEARCH_MS);
    return isHeld;
  }

  orderSoon() {
    this.isOrderDue = true;
    this.schedule();
  }

  /** New cards alone, behind those there are. */
  add(rows) {
    for (const row of rows) {
      if (!this.shown.has(keyOf(row))) this.cards.append(this.show(row, card).node);
    }
  }

  show(row, make) {
    const key = keyOf(row);
    const shown = { ...make(row), make };
    shown.node.dataset.key = key;
    this.shown.set(key, shown);
    this.watcher.observe(shown.node);
    return shown;
  }

  arrange(place, rows, make) {
    let next = place.firstChild;
    for (const row of rows) {
      const key = keyOf(row);
      let shown = this.shown.get(key);
      if (!shown || shown.make !== make) {
        if (shown) this.forget(key, shown);
        shown = this.show(row, make);
      } else if (!this.rows.has(key)) shown.set(row);
      if (shown.node === next) next = next.nextSibling;
      else place.insertBefore(shown.node, next);
    }
    while (next) {
      const after = next.nextSibling;
      next.remove();
      next = after;
    }
  }

  forget(key, shown) {
    this.watcher.unobserve(shown.node);
    shown.node.remove();
    if (this.shown.get(key) === shown) {
      this.shown.delete(key);
      this.visible.delete(key);
    }
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.visible.add(target.dataset.key);
      else this.visible.delete(target.dataset.key);
    }
    this.schedule();
  }

  matches(row) {
    return !this.tier || tierName(row.tier) === this.tier;
  }

  sayPlace(chosen, cards) {
    if (!this.isHeard) return;
    this.place.hidden = chosen.length > 0 && (cards.length > 0 || Boolean(this.found) || Boolean(this.tier));
    if (this.place.hidden) return;
    if (this.found) fill(this.place, empty(t("now.found_none")));
    else if (chosen.length > 0 || this.tier) fill(this.place, empty(t("now.calm"), t("now.calm_text")));
    else fill(this.place, empty(t("now.empty"), t("now.empty_text"), h("pre", { class: "commands mono" }, COMMANDS)));
  }

  sayCounts(rows) {
    const counts = Object.fromEntries(TIERS.map((tier) => [tier, 0]));
    for (const row of rows) counts[tierName(row.tier)] += 1;
    // The board holds the most pressing; whoever is not on it is well.
    if (!this.found) counts.NORMAL = Math.max(counts.NORMAL, this.skus - rows.length + counts.NORMAL || 0);
    const key = JSON.stringify([counts, this.tier]);
    if (key === this.countsKey) return;
    this.countsKey = key;
    fill(
      this.counts,
      [...TIERS].reverse().map((tier) =>
        h(
          "button",
          { class: "count", "aria-pressed": String(this.tier === tier), "aria-label": `${t(`tier.${tier}`)} ${counts[tier]}`, onclick: () => this.choose(tier) },
          tierChip(tier),
          h("span", { class: "num" }, number(counts[tier])),
        ),
      ),
    );
  }

  choose(tier) {
    this.tier = this.tier === tier ? "" : tier;
    this.orderSoon();
    this.remember();
  }

  /** The address says what is looked for, for who comes back or sends it on. */
  remember() {
    const said = [["q", this.words], ["tier", this.tier]].filter(([, value]) => value);
    history.replaceState(history.state, "", said.length > 0 ? `/?${new URLSearchParams(said)}` : "/");
  }

  // ---- searching

  typed() {
    this.words = this.input.value.trim();
    this.remember();
    clearTimeout(this.searching);
    this.searching = setTimeout(() => this.search(), SEARCH_MS);
  }

  search() {
    this.look().catch((error) => {
      if (!error.reason) throw error;
      if (!this.ended) notify(errorText(error), "problem");
    });
  }

  async look() {
    const words = this.words;
    const found = words ? (await call("OperationsService/GetBoard", { query: words, rows_max: FOUND_MAX })).rows : null;
    if (words !== this.words || this.ended) return;
    this.found = found;
    this.isHeard = true;
    this.orderSoon();
  }

  // ---- keys

  keys() {
    const { key } = this.context;
    key("j", t("now.keys_next"), () => this.step(1));
    key("k", t("now.keys_last"), () => this.step(-1));
    key("Enter", t("now.keys_open"), (event) => this.open(event));
    key("a", t("now.keys_ack"), () => this.withSelected((row) => needsLook(row) && acknowledge(row, "WATCH", { asksAll: true })));
    key("s", t("now.keys_silence"), () => this.withSelected((row) => silence(row)));
    key("/", t("keys.search"), () => this.input.focus());
  }

  step(by) {
    const keys = [...this.cards.children, ...this.lines.children].map((node) => node.dataset.key);
    const at = keys.indexOf(this.selected);
    const next = at < 0 ? (by > 0 ? 0 : keys.length - 1) : Math.min(keys.length - 1, Math.max(0, at + by));
    this.select(keys[next], { scrolls: true });
  }

  select(key, { scrolls }) {
    this.selected = key || "";
    for (const [other, shown] of this.shown) mark(shown.node, "data-selected", other === this.selected);
    const node = this.shown.get(this.selected)?.node;
    if (node && scrolls) {
      node.focus({ preventScroll: true });
      node.scrollIntoView({ block: "nearest" });
    }
  }

  withSelected(does) {
    if (!this.selected) this.step(1);
    const row = this.rows.get(this.selected);
    if (row) does(row);
  }

  open(event) {
    if (event.target.closest("a, button, summary")) {
      event.target.click();
      return;
    }
    this.withSelected((row) => this.context.go(addressOf(row)));
  }

  end() {
    this.ended = true;
    this.drill.show(null);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.searching);
    this.watcher.disconnect();
  }
}

/** What the lines' numbers are. */
function heads() {
  const names = ["", "", "", "now.available", "now.pace", "now.left", "now.channels"];
  return h("div", { class: "line-heads muted small", "aria-hidden": "true" }, names.map((name) => h("span", { class: "cell right" }, name && t(name))));
}

export default { path: "/", nav: "now", mount };
