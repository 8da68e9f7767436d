// One drill: how far it is, where its SKUs stand, what was done about it, and the score in the end.
import { act, call, change } from "../api.js";
import { ask, loading, notify } from "../dialog.js";
import { fill, h, keepingFocus, say } from "../dom.js";
import { clock, duration, number, tierChip, tierName, time, when } from "../format.js";
import { ledgerNow } from "../ledger_time.js";
import { live } from "../live.js";
import { every } from "../polling.js";
import { errorText } from "../session.js";
import { has, pick, t } from "../words.js";
import { stateChip, took } from "./drills.js";

const EVENTS = 1000;
// Beside a drill the log holds what is true, and on a busy evening that is much.
const PAGES_MAX = 20;
const LOOK_MS = 1000;
const THOUSAND = 1000;
const SKUS = 60;
const TOLD = 200;
const WARNING = 3;
const ORDER = ["NORMAL", "TREND", "THRESHOLD", "URGENT", "SOLD_OUT"];
const FIGURES = ["detect", "deliver", "acknowledge", "act"];

async function mount(root, { params, go }) {
  loading(root);
  const page = new Page(Number.parseInt(params.id, 10) || 0, root, go);
  await page.begin();
  return () => page.end();
}

export default { path: "/drills/:id", nav: "drills", mount };

class Page {
  constructor(id, root, go) {
    Object.assign(this, { id, root, go, events: new Map(), drill: null, drawing: 0, isOver: false, cards: new Map(), ends: [] });
  }

  async begin() {
    // Heard from now on, read up to now: nothing can be between.
    this.ends.push(live.on("event", (event) => this.take(event) && this.soon()));
    try {
      await this.read();
    } catch (error) {
      this.end();
      throw error;
    }
    this.build();
    this.draw();
    this.ends.push(live.on("lost", () => this.read().then(() => this.soon(), () => {})));
    this.ends.push(every(LOOK_MS, this.parts.bar, () => this.look()));
  }

  end() {
    this.isOver = true;
    for (const end of this.ends) end();
    cancelAnimationFrame(this.drawing);
  }

  /** The drill, and what the log has of it: its number is that of its first event. */
  async read() {
    this.drill = (await call("AlertService/GetDrill", { drill_id: this.id })).drill;
    const request = { include_drills: true, page_size: EVENTS, page_token: "" };
    for (let page = 0; page < PAGES_MAX && !this.isOver; page += 1) {
      const { events, next_page_token } = await call("AlertService/ListTierChanges", request);
      for (const event of events) this.take(event);
      request.page_token = next_page_token;
      if (!next_page_token || events.at(-1).revision <= this.id) return;
    }
  }

  /** True if an event is this drill's. */
  take(event) {
    if (event.drill_id !== this.id || this.events.has(event.revision)) return false;
    this.events.set(event.revision, event);
    return true;
  }

  soon() {
    cancelAnimationFrame(this.drawing);
    if (this.parts) this.drawing = requestAnimationFrame(() => this.draw());
  }

  async look() {
    if (this.drill.state !== "RUNNING") return;
    this.progress();
    const { drill } = await call("AlertService/GetDrill", { drill_id: this.id });
    if (this.isOver) return;
    const isNews = drill.state !== this.drill.state;
    this.drill = drill;
    if (isNews) this.draw();
  }

  // ---- drawing

  build() {
    this.parts = Object.fromEntries(["head", "bar", "score", "skus", "expected", "told"].map((name) => [name, h("div", {})]));
    this.grid = h("div", { class: "grid" });
    fill(this.parts.skus, this.grid);
    this.filler = h("div", { class: "filler" });
    this.at = h("span", { class: "small muted num" });
    fill(
      this.root,
      this.parts.head,
      h(
        "div",
        { class: "stack drills" },
        this.parts.bar,
        this.parts.score,
        h("section", { class: "stack" }, h("h2", {}, t("drill.skus_now")), this.parts.skus),
        h("div", { class: "halves" }, h("section", { class: "stack" }, h("h2", {}, t("drill.told")), this.parts.told), h("section", { class: "stack" }, h("h2", {}, t("drill.expected")), this.parts.expected)),
      ),
    );
    fill(this.parts.bar, h("div", { class: "card stack" }, h("div", { class: "progress", role: "progressbar", "aria-label": t("drill.one") }, this.filler), this.at));
  }

  draw() {
    if (this.isOver) return;
    const { drill } = this;
    const running = drill.state === "RUNNING";
    const head = h(
      "div",
      { class: "page-head" },
      h(
        "div",
        { class: "names" },
        h("a", { href: "/drills", class: "small" }, `‹ ${t("drill.all")}`),
        h("h1", { class: "break" }, drill.script.name, " ", stateChip(drill)),
        h("p", { class: "muted small" }, [`#${drill.drill_id}`, drill.script.room, when(drill.start_time), drill.actor].filter(Boolean).join("　")),
      ),
      running ? h("button", { class: "button danger", onclick: () => this.stop() }, t("drill.stop")) : h("a", { class: "button", href: "/drills" }, t("drill.again")),
    );
    keepingFocus(this.parts.head, () => fill(this.parts.head, head));
    this.progress();
    fill(this.parts.score, score(drill));
    keepingFocus(this.parts.skus, () => this.skus());
    fill(this.parts.expected, expected(drill, this.history()));
    fill(this.parts.told, this.told());
  }

  progress() {
    const { script, start_time, end_time, state } = this.drill;
    const until = state === "RUNNING" ? ledgerNow() : time(end_time) ?? ledgerNow();
    const at = Math.max(0, Math.min(script.seconds, ((until - time(start_time)) / THOUSAND) * script.speed));
    this.filler.style.setProperty("width", `${((100 * at) / script.seconds).toFixed(1)}%`);
    say(this.at, t("drill.progress", { at: duration(at * THOUSAND), length: duration(script.seconds * THOUSAND), speed: script.speed }));
  }

  /** The drill's events, oldest first. */
  history() {
    return [...this.events.values()].sort((one, other) => one.revision - other.revision);
  }

  told() {
    const lines = this.history().slice(-TOLD).reverse();
    if (lines.length === 0) return h("p", { class: "muted" }, t("drill.told_none"));
    return h("ol", { class: "card happened" }, lines.map((event) => h("li", {}, h("span", { class: "muted num" }, clock(event.record_time)), h("span", { class: "break" }, sentence(event)))));
  }

  skus() {
    const standing = new Map(this.drill.script.skus.map((sku) => [sku.sku, { sku: sku.sku, units: sku.units, tier: "NORMAL", episode: 0, done: new Set() }]));
    for (const event of this.history()) stand(standing.get(event.sku), event);
    const shown = [...standing.values()].sort((one, other) => ORDER.indexOf(other.tier) - ORDER.indexOf(one.tier)).slice(0, SKUS);
    const cards = shown.map((one) => this.kept(one));
    const { grid } = this;
    // A card that stays as and where it is can be pressed meanwhile.
    if (cards.length !== grid.children.length || cards.some((card, place) => grid.children[place] !== card)) fill(grid, cards);
  }

  /** The card of a SKU, made anew only if it says something else. */
  kept(one) {
    const says = JSON.stringify([one, [...one.done], this.drill.state]);
    const before = this.cards.get(one.sku);
    if (before?.says === says) return before.node;
    const node = this.card(one);
    this.cards.set(one.sku, { says, node });
    return node;
  }

  card(one) {
    const isWarned = ORDER.indexOf(one.tier) + 1 >= WARNING && this.drill.state === "RUNNING";
    const runsOut = one.p50 ? t("drill.in_minutes", { time: duration(one.p50 * THOUSAND) }) : "";
    return h(
      "article",
      { class: "card stack drill-sku", dataset: { tier: one.tier, key: one.sku } },
      h("div", { class: "row apart" }, h("strong", { class: "break" }, one.sku), tierChip(one.tier, { stale: one.is_stale })),
      h("div", { class: "muted small num" }, [t("drill.left", { units: number(one.units) }), runsOut].filter(Boolean).join(" · ")),
      isWarned && (one.by ? h("span", { class: "ok small" }, t("drill.taken_by", { who: one.by })) : h("button", { class: "button small primary", onclick: () => this.acknowledge(one) }, t("drill.take"))),
      isWarned && one.steps?.length > 0 && h("ol", { class: "steps small" }, one.steps.map((step, place) => this.step(one, step, place))),
    );
  }

  step(one, step, place) {
    const isDone = one.done.has(place);
    return h(
      "li",
      {},
      h(
        "button",
        { class: "step", dataset: { focus: `${one.sku} ${place}` }, disabled: isDone, "aria-pressed": String(isDone), onclick: () => this.complete(one, place) },
        h("span", { class: "box", "aria-hidden": "true" }, isDone ? "✓" : ""),
        h("span", {}, pick(step, "text"), step.owner && h("span", { class: "muted" }, ` · ${step.owner}`)),
      ),
    );
  }

  // ---- doing

  acknowledge(one) {
    return this.tell("AlertService/Acknowledge", { sku: one.sku, episode: one.episode, tier: `TIER_${one.tier}`, action: "ACK_ACTION_WATCH", drill_id: this.id });
  }

  async complete(one, step) {
    const request = { sku: one.sku, episode: one.episode, tier: `TIER_${one.tier}`, step, drill_id: this.id };
    if (await this.tell("AlertService/CompleteStep", request)) notify(t("drill.done_notice"), "ok");
  }

  async stop() {
    if (!(await ask({ title: t("drill.stop_title"), text: t("drill.stop_text"), confirm: t("drill.stop"), danger: true }))) return;
    try {
      this.drill = (await change("AlertService/StopDrill", { drill_id: this.id })).drill;
      this.draw();
    } catch (error) {
      if (!error.reason) throw error;
      notify(errorText(error), "problem");
    }
  }

  async tell(method, request) {
    try {
      await act(method, request);
      return true;
    } catch (error) {
      if (!error.reason) throw error;
      notify(errorText(error), "problem");
      return false;
    }
  }
}

/** What an event says of where a SKU stands. */
function stand(one, event) {
  if (!one) return;
  if (event.tier_change) {
    const change = event.tier_change;
    const tier = tierName(change.to);
    if (tier !== one.tier) Object.assign(one, { done: new Set() });
    if (ORDER.indexOf(tier) > ORDER.indexOf(one.tier) || tier === "NORMAL") one.by = "";
    Object.assign(one, {
      tier,
      episode: event.episode,
      is_stale: change.is_stale,
      units: change.evidence?.available ?? one.units,
      p50: change.stock_out?.p50_seconds,
      steps: change.runbook?.steps,
    });
  }
  if (event.acknowledgement) one.by = event.kind.endsWith("_ENDED") ? "" : event.acknowledgement.actor;
  if (event.step_done && tierName(event.step_done.tier) === one.tier) one.done.add(event.step_done.step);
}

function sentence(event) {
  const sku = event.sku;
  if (event.tier_change) {
    const of = (tier) => t(`tier.${tierName(tier)}`);
    return h("span", { class: "row" }, t("drill.event.tier", { sku, from: of(event.tier_change.from), to: "" }).replace(/\s*$/, " "), tierChip(tierName(event.tier_change.to)));
  }
  if (event.acknowledgement) {
    return event.kind.endsWith("_ENDED") ? t("drill.event.ack_end", { sku }) : t("drill.event.ack", { sku, who: event.acknowledgement.actor });
  }
  if (event.step_done) return t("drill.event.step", { sku, who: event.step_done.actor, step: event.step_done.text });
  if (event.escalation) return t("drill.event.escalated", { sku });
  if (event.drill?.inject) return has(`drill.inject.${event.drill.inject}`) ? t(`drill.inject.${event.drill.inject}`, { sku }) : event.drill.inject;
  if (event.kind.endsWith("DRILL_STARTED")) return t("drill.event.start");
  if (event.kind.endsWith("DRILL_ENDED")) return [t("drill.event.end"), event.drill?.detail].filter(Boolean).join("：");
  return event.kind.replace("ALERT_EVENT_KIND_", "");
}

// ---- score

function score(drill) {
  if (!drill.score) return null;
  const { score: of } = drill;
  const figures = FIGURES.map((name) => [t(`drill.${name}`), took(of, name) || "–", t(`drill.${name}_of`)]);
  figures.push([t("drill.steps"), number(of.steps_done), t("drill.steps_of", { done: number(of.steps_done), missed: number(of.steps_missed) })]);
  return h(
    "div",
    { class: "stack" },
    h("div", { class: "figures" }, figures.map(([label, value, note]) => h("div", { class: "card figure" }, h("div", { class: "muted small" }, label), h("b", {}, value), h("div", { class: "muted small" }, note)))),
    of.compared && h("p", { class: "card" }, h("strong", {}, `${t("drill.compared")}　`), of.compared),
  );
}

/** True if an expectation has come true already. */
function isMet(drill, expectation, history) {
  const wanted = ORDER.indexOf(tierName(expectation.tier));
  const until = time(drill.start_time) + (expectation.before_seconds / drill.script.speed) * THOUSAND;
  return history.some(
    (event) =>
      event.sku === expectation.sku &&
      event.tier_change &&
      ORDER.indexOf(tierName(event.tier_change.to)) >= wanted &&
      time(event.observe_time) <= until,
  );
}

function expected(drill, history) {
  const { expectations } = drill.script;
  if (expectations.length === 0) return h("p", { class: "muted" }, t("drill.preview_expects_none"));
  return h(
    "ul",
    { class: "card expectations" },
    expectations.map((one, place) => {
      const met = drill.score ? drill.score.met[place] : isMet(drill, one, history) || null;
      const mark = met === null ? "waiting" : met ? "yes" : "no";
      const says = t("drill.expects", { sku: one.sku, tier: t(`tier.${tierName(one.tier)}`), time: duration(one.before_seconds * THOUSAND) });
      return h("li", {}, h("span", { class: "break" }, says), h("span", { class: ["chip", { waiting: "", yes: "good", no: "bad" }[mark]] }, t(`drill.${mark}`)));
    }),
  );
}
