// The SKUs of a drill as cards, marked as no real ones: what is to be done about them, and the buttons for it.
import { act } from "./api.js";
import { notify } from "./dialog.js";
import { fill, h, keepingFocus } from "./dom.js";
import { duration, number, tierChip, TIERS } from "./format.js";
import { errorText } from "./session.js";
import { pick, t } from "./words.js";

const THOUSAND = 1000;
const WARNED_FROM = TIERS.indexOf("THRESHOLD");

/** Cards of a `DrillLog`: at most so many; `onlyWarned`: of those SKUs that somebody must do something about. */
export class DrillCards {
  constructor(log, { most, onlyWarned = false }) {
    Object.assign(this, { log, most, onlyWarned, cards: new Map(), node: h("div", { class: "grid" }) });
  }

  /** Show where they stand now; returns how many there are. A card that says the same stays, and can be pressed meanwhile. */
  draw() {
    const standing = this.log.standings().filter((one) => !this.onlyWarned || isWarned(one));
    const cards = standing.slice(0, this.most).map((one) => this.kept(one));
    const before = this.node.children;
    if (cards.length !== before.length || cards.some((card, place) => before[place] !== card)) {
      keepingFocus(this.node, () => fill(this.node, cards));
    }
    return standing.length;
  }

  kept(one) {
    const says = JSON.stringify([one, [...one.done], this.log.drill.state]);
    const before = this.cards.get(one.sku);
    if (before?.says === says) return before.node;
    const node = this.card(one);
    this.cards.set(one.sku, { says, node });
    return node;
  }

  card(one) {
    const isOpen = isWarned(one) && this.log.drill.state === "RUNNING";
    const runsOut = one.p50 ? t("drill.in_minutes", { time: duration(one.p50 * THOUSAND) }) : "";
    return h(
      "article",
      { class: "card stack drill-sku", dataset: { tier: one.tier, key: one.sku } },
      h("div", { class: "row apart" }, h("strong", { class: "break" }, one.sku), h("span", { class: "row tight" }, h("span", { class: "chip drill" }, t("drill.chip")), tierChip(one.tier, { stale: one.is_stale }))),
      h("div", { class: "muted small num" }, [t("drill.left", { units: number(one.units) }), runsOut].filter(Boolean).join(" · ")),
      isOpen && (one.by ? h("span", { class: "ok small" }, t("drill.taken_by", { who: one.by })) : h("button", { class: "button small primary", onclick: () => this.acknowledge(one) }, t("drill.take"))),
      isOpen && one.steps?.length > 0 && h("ol", { class: "steps small" }, one.steps.map((step, place) => this.step(one, step, place))),
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

  acknowledge(one) {
    return this.tell("AlertService/Acknowledge", { sku: one.sku, episode: one.episode, tier: `TIER_${one.tier}`, action: "ACK_ACTION_WATCH", drill_id: this.log.id });
  }

  async complete(one, step) {
    const request = { sku: one.sku, episode: one.episode, tier: `TIER_${one.tier}`, step, drill_id: this.log.id };
    if (await this.tell("AlertService/CompleteStep", request)) notify(t("drill.done_notice"), "ok");
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

function isWarned(one) {
  return TIERS.indexOf(one.tier) >= WARNED_FROM;
}
