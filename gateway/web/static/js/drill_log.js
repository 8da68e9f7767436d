// What the alert log tells of one drill, read and then heard; and where its SKUs stand by it.
import { call } from "./api.js";
import { tierName, TIERS } from "./format.js";
import { live } from "./live.js";

const EVENTS = 1000;
// Beside a drill the log holds what is true, and on a busy evening that is much.
const PAGES_MAX = 20;

/** A drill and its events. `changed()` is called when there is one more. */
export class DrillLog {
  constructor(id, changed) {
    Object.assign(this, { id, changed, drill: null, events: new Map(), ends: [], isOver: false });
  }

  /** Read what there is and listen from now on: nothing can be between. */
  async begin() {
    this.ends.push(live.on("event", (event) => this.take(event) && this.drill && this.changed()));
    this.ends.push(live.on("lost", () => this.read().then(() => this.changed(), () => {})));
    try {
      await this.read();
    } catch (error) {
      this.end();
      throw error;
    }
  }

  end() {
    this.isOver = true;
    for (const end of this.ends) end();
  }

  /** The drill, and what the log has of it: its number is that of its first event. */
  async read() {
    await this.look();
    const request = { include_drills: true, page_size: EVENTS, page_token: "" };
    for (let page = 0; page < PAGES_MAX && !this.isOver; page += 1) {
      const { events, next_page_token } = await call("AlertService/ListTierChanges", request);
      for (const event of events) this.take(event);
      request.page_token = next_page_token;
      if (!next_page_token || events.at(-1).revision <= this.id) return;
    }
  }

  /** Read how far the drill is. */
  async look() {
    this.drill = (await call("AlertService/GetDrill", { drill_id: this.id })).drill;
  }

  /** True if an event is this drill's, and news. */
  take(event) {
    if (event.drill_id !== this.id || this.events.has(event.revision)) return false;
    this.events.set(event.revision, event);
    return true;
  }

  /** The drill's events, oldest first. */
  history() {
    return [...this.events.values()].sort((one, other) => one.revision - other.revision);
  }

  /** Where its SKUs stand, the most pressing first. */
  standings() {
    const start = (sku) => ({ sku: sku.sku, units: sku.units, tier: "NORMAL", episode: 0, by: "", done: new Set() });
    const standing = new Map(this.drill.script.skus.map((sku) => [sku.sku, start(sku)]));
    for (const event of this.history()) stand(standing.get(event.sku), event);
    return [...standing.values()].sort((one, other) => TIERS.indexOf(other.tier) - TIERS.indexOf(one.tier));
  }
}

/** What an event says of where a SKU stands. */
function stand(one, event) {
  if (!one) return;
  if (event.tier_change) {
    const change = event.tier_change;
    const tier = tierName(change.to);
    if (tier !== one.tier) Object.assign(one, { done: new Set() });
    if (TIERS.indexOf(tier) > TIERS.indexOf(one.tier) || tier === "NORMAL") one.by = "";
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
