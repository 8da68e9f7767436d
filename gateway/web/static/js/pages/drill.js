// One drill: how far it is, where its SKUs stand, what was done about it, and the score in the end.
import { change } from "../api.js";
import { ask, loading, notify } from "../dialog.js";
import { DrillCards } from "../drill_cards.js";
import { DrillLog } from "../drill_log.js";
import { fill, h, keepingFocus, say } from "../dom.js";
import { clock, duration, number, tierChip, tierName, time, TIERS, when } from "../format.js";
import { ledgerNow } from "../ledger_time.js";
import { every } from "../polling.js";
import { errorText } from "../session.js";
import { has, t } from "../words.js";
import { stateChip, took } from "./drills.js";

const LOOK_MS = 1000;
const THOUSAND = 1000;
const SKUS = 60;
const TOLD = 200;
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
    Object.assign(this, { id, root, go, drawing: 0, isOver: false });
    this.log = new DrillLog(id, () => this.soon());
    this.cards = new DrillCards(this.log, { most: SKUS });
  }

  async begin() {
    await this.log.begin();
    this.build();
    this.draw();
    this.stopLooking = every(LOOK_MS, this.parts.bar, () => this.look());
  }

  end() {
    this.isOver = true;
    this.log.end();
    this.stopLooking?.();
    cancelAnimationFrame(this.drawing);
  }

  soon() {
    cancelAnimationFrame(this.drawing);
    if (this.parts) this.drawing = requestAnimationFrame(() => this.draw());
  }

  async look() {
    if (this.log.drill.state !== "RUNNING") return;
    this.progress();
    await this.log.look();
    if (!this.isOver && this.log.drill.state !== "RUNNING") this.draw();
  }

  // ---- drawing

  build() {
    this.parts = Object.fromEntries(["head", "bar", "score", "skus", "expected", "told"].map((name) => [name, h("div", {})]));
    fill(this.parts.skus, this.cards.node);
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
    const { drill } = this.log;
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
    this.cards.draw();
    fill(this.parts.expected, expected(drill, this.log.history()));
    fill(this.parts.told, this.told());
  }

  progress() {
    const { script, start_time, end_time, state } = this.log.drill;
    const until = state === "RUNNING" ? ledgerNow() : time(end_time) ?? ledgerNow();
    const at = Math.max(0, Math.min(script.seconds, ((until - time(start_time)) / THOUSAND) * script.speed));
    this.filler.style.setProperty("width", `${((100 * at) / script.seconds).toFixed(1)}%`);
    say(this.at, t("drill.progress", { at: duration(at * THOUSAND), length: duration(script.seconds * THOUSAND), speed: script.speed }));
  }

  told() {
    const lines = this.log.history().slice(-TOLD).reverse();
    if (lines.length === 0) return h("p", { class: "muted" }, t("drill.told_none"));
    return h("ol", { class: "card happened" }, lines.map((event) => h("li", {}, h("span", { class: "muted num" }, clock(event.record_time)), h("span", { class: "break" }, sentence(event)))));
  }

  // ---- doing

  async stop() {
    if (!(await ask({ title: t("drill.stop_title"), text: t("drill.stop_text"), confirm: t("drill.stop"), danger: true }))) return;
    try {
      this.log.drill = (await change("AlertService/StopDrill", { drill_id: this.id })).drill;
      this.draw();
    } catch (error) {
      if (!error.reason) throw error;
      notify(errorText(error), "problem");
    }
  }
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
  const wanted = TIERS.indexOf(tierName(expectation.tier));
  const until = time(drill.start_time) + (expectation.before_seconds / drill.script.speed) * THOUSAND;
  return history.some(
    (event) =>
      event.sku === expectation.sku &&
      event.tier_change &&
      TIERS.indexOf(tierName(event.tier_change.to)) >= wanted &&
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
