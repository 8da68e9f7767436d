// Channels: how each keeps up with the ledger, what holds it up, and what a person can do about it.
import { call, change } from "../api.js";
import { ask, empty, loading, notify } from "../dialog.js";
import { fill, h, mark, say } from "../dom.js";
import { age, dateTime, duration, number, rate, seconds, time } from "../format.js";
import { hearTime, ledgerNow } from "../ledger_time.js";
import { every } from "../polling.js";
import { errorText } from "../session.js";
import { table } from "../table.js";
import { lang, t } from "../words.js";
import { words } from "../channel_words.js";

export { words };

const LOOK_MS = 2_000;
const REASON_MAX = 200;
const DRIFTS = 20;
const PAGE_SIZE = 500;
const PAGES_MAX = 20;
// A connector that has not been heard for so long is away; the gateway goes by the same.
const SILENT_MS = 15_000;
// What is still fine.
const LAG_SECONDS = 3;
const WAIT_MS = 30_000;
const WATERMARK_SECONDS = 120;

async function mount(root, { query }) {
  const cards = new Map();
  const place = h("div", { class: "channel-cards live" });
  const sum = h("div", { class: "row" });
  const read = h("span", { class: "muted small num" });
  fill(root, h("div", { class: "page-head" }, h("h1", {}, t("nav.channels")), sum, read), place);
  loading(place);
  const draw = async () => {
    const { channels, as_of } = await call("OperationsService/ListChannelHealth");
    if (!place.isConnected) return;
    hearTime(as_of);
    say(read, t("channel.as_of", { time: age(as_of) }));
    fill(sum, summary(channels));
    if (channels.length === 0) {
      fill(place, empty(t("channel.none"), t("channel.none_text"), h("code", {}, "stockgate channel add douyin --platform douyin")));
      return;
    }
    const shown = channels.map((health) => {
      const code = health.channel.channel;
      if (!cards.has(code)) cards.set(code, new Card(draw));
      cards.get(code).take(health);
      return cards.get(code).node;
    });
    if (place.children.length !== shown.length || shown.some((node, at) => place.children[at] !== node)) fill(place, shown);
  };
  await draw();
  const wanted = query.get("channel");
  if (wanted && cards.has(wanted)) cards.get(wanted).node.scrollIntoView();
  return every(LOOK_MS, place, draw);
}

function summary(channels) {
  const kinds = channels.map((health) => stateOf(health).kind);
  const bad = kinds.filter((kind) => kind === "bad").length;
  const warn = kinds.filter((kind) => kind === "warn").length;
  if (channels.length === 0) return [];
  return [
    bad > 0 && h("span", { class: "chip bad" }, t("channel.sum_bad", { n: bad })),
    warn > 0 && h("span", { class: "chip warn" }, t("channel.sum_warn", { n: warn })),
    bad + warn === 0 && h("span", { class: "chip good" }, t("channel.sum_good", { n: channels.length })),
  ];
}

/** The gravest of what is wrong with a channel: how grave, its word, and what there is to do. */
function stateOf(health) {
  const { channel } = health;
  const { connector } = channel;
  const heard = time(connector?.heartbeat_time);
  const silent = heard === null ? null : ledgerNow() - heard;
  const waits = health.oldest_push_time ? ledgerNow() - time(health.oldest_push_time) : 0;
  if (channel.paused) return { kind: "bad", name: "paused", text: isBraked(channel) ? t("channel.braked") : channel.pause_reason };
  if (connector?.needs) return { kind: "bad", name: "needs", text: connector.needs };
  if (heard === null) return { kind: "bad", name: channel.has_credentials ? "unserved" : "no_credentials" };
  if (silent > SILENT_MS) return { kind: "bad", name: "silent", params: { age: duration(silent) } };
  if (connector.breaker_open) return { kind: "bad", name: "away" };
  if (waits > WAIT_MS) return { kind: "warn", name: "late", params: { age: duration(waits) } };
  if (health.parked > 0) return { kind: "warn", name: "parked", params: { n: number(health.parked) } };
  if (seconds(connector.ban) > 0) return { kind: "warn", name: "banned", params: { age: duration(seconds(connector.ban) * 1000) } };
  if (seconds(health.watermark_age) > WATERMARK_SECONDS) return { kind: "warn", name: "orders", params: { age: duration(seconds(health.watermark_age) * 1000) } };
  if (seconds(health.lag_p99) > LAG_SECONDS) return { kind: "warn", name: "slow", params: { lag: lagOf(health.lag_p99) } };
  return { kind: "good", name: health.pushes_open > 0 ? "moving" : "fine" };
}

class Card {
  constructor(draw) {
    this.draw = draw;
    this.title = h("h2", { class: "break" });
    this.code = h("span", { class: "muted small break" });
    this.chip = h("span", { class: "chip" });
    this.advice = h("p", { class: "channel-advice break" });
    this.facts = h("dl", { class: "channel-facts" });
    this.values = new Map();
    this.more = h("div", { class: "channel-more", hidden: true });
    this.pause = h("button", { class: "button", onclick: () => this.pauseOrResume() });
    this.parked = h("button", { class: "button", "aria-expanded": "false", onclick: () => this.show("parked") });
    this.drifts = h("button", { class: "button quiet", "aria-expanded": "false", onclick: () => this.show("drifts") });
    const head = h("div", { class: "row apart nowrap" }, h("div", { class: "channel-name" }, this.title, this.code), this.chip);
    const actions = h("div", { class: "row" }, this.pause, this.parked, this.drifts);
    this.node = h("section", { class: "card channel-card" }, head, this.advice, this.facts, actions, this.more);
  }

  take(health) {
    this.health = health;
    const { channel } = health;
    const state = stateOf(health);
    const platform = t(`platform.${channel.platform.replace("PLATFORM_", "")}`);
    say(this.title, channel.title || channel.channel);
    say(this.code, channel.title ? `${platform} · ${channel.channel}` : platform);
    mark(this.node, "aria-label", channel.title || channel.channel);
    mark(this.node, "data-state", state.kind);
    mark(this.chip, "class", `chip ${state.kind}`);
    say(this.chip, t(`channel.state.${state.name}`));
    say(this.advice, [state.text, t(`channel.advice.${state.name}`, state.params)].filter(Boolean).join(lang() === "en" ? ". " : "。"));
    for (const [name, value, isBad, hint] of factsOf(health)) this.fact(name, value, isBad, hint);
    say(this.pause, t(channel.paused ? "channel.resume" : "channel.pause"));
    mark(this.pause, "class", channel.paused ? "button primary" : "button");
    say(this.parked, t("channel.show_parked", { n: number(health.parked) }));
    mark(this.parked, "hidden", health.parked === 0 && this.shown !== "parked");
    say(this.drifts, t("channel.show_drifts"));
    mark(this.drifts, "hidden", !health.last_drift);
  }

  fact(name, value, isBad, hint) {
    if (!this.values.has(name)) {
      const shown = h("dd", { class: "num" });
      this.values.set(name, shown);
      this.facts.append(h("div", {}, h("dt", {}, t(`channel.fact.${name}`)), shown));
    }
    const shown = say(this.values.get(name), value);
    mark(shown, "class", isBad ? "num problem" : "num");
    mark(shown, "title", hint);
  }

  async pauseOrResume() {
    const { channel } = this.health;
    if (channel.paused) await this.resume(channel);
    else await this.stop(channel);
    await this.draw().catch(() => {});
  }

  async stop(channel) {
    const said = await ask({
      title: t("channel.pause_title", { channel: channel.title || channel.channel }),
      text: t("channel.pause_text"),
      fields: [{ name: "reason", label: t("channel.reason"), required: true, maxlength: REASON_MAX }],
      confirm: t("channel.pause"),
      danger: true,
    });
    if (said) await done("ChannelService/PauseChannel", { channel: channel.channel, reason: said.reason }, "channel.paused");
  }

  async resume(channel) {
    const isBrake = isBraked(channel);
    const choices = [
      ["no", t("channel.brake_no")],
      ["yes", t("channel.brake_yes")],
    ];
    const said = await ask({
      title: t("channel.resume_title", { channel: channel.title || channel.channel }),
      text: isBrake ? t("channel.brake_text") : t("channel.resume_text"),
      fields: isBrake ? [{ name: "allow", label: t("channel.brake"), type: "choice", options: choices, value: "no" }] : [],
      confirm: t("channel.resume"),
    });
    if (!said) return;
    const allow_many_to_zero = said.allow === "yes";
    await done("ChannelService/ResumeChannel", { channel: channel.channel, allow_many_to_zero }, "channel.resumed");
  }

  // ---- what is shown on demand

  async show(what) {
    this.shown = this.shown === what ? null : what;
    mark(this.parked, "aria-expanded", String(this.shown === "parked"));
    mark(this.drifts, "aria-expanded", String(this.shown === "drifts"));
    mark(this.more, "hidden", !this.shown);
    if (!this.shown) return;
    loading(this.more);
    try {
      const node = await (what === "parked" ? this.parkedListings() : this.lastDrifts());
      if (this.shown === what) fill(this.more, node);
    } catch (error) {
      fill(this.more, h("p", { class: "problem" }, errorText(error)));
    }
  }

  async parkedListings() {
    const found = [];
    let page_token = "";
    for (let pages = 0; pages < PAGES_MAX && (pages === 0 || page_token); pages += 1) {
      const answer = await call("ChannelService/ListListings", { channel: this.health.channel.channel, page_size: PAGE_SIZE, page_token });
      found.push(...answer.listings.filter((one) => one.parked_reason));
      page_token = answer.next_page_token;
    }
    const columns = [
      { title: t("channel.listing"), render: (one) => listingName(one) },
      { title: t("channel.parked_reason"), render: (one) => h("span", { class: "break" }, one.parked_reason) },
      { title: "", render: (one) => h("button", { class: "button small", onclick: () => this.resync(one) }, t("channel.resync")) },
    ];
    return table(columns, found, { empty: t("channel.none_parked"), caption: t("channel.parked_text") });
  }

  async resync(listing) {
    await done("ChannelService/ResyncListing", { listing_id: listing.listing_id }, "channel.resynced");
    this.shown = null;
    await this.show("parked");
    await this.draw().catch(() => {});
  }

  async lastDrifts() {
    const { drifts } = await call("ChannelService/ListDrift", { channel: this.health.channel.channel, page_size: DRIFTS });
    const columns = [
      { title: t("channel.drift_time"), render: (one) => h("span", { class: "num", title: dateTime(one.read_time) }, age(one.read_time)) },
      { title: t("channel.listing"), render: (one) => `#${one.listing_id}` },
      { title: t("channel.drift_shown"), align: "right", render: (one) => number(one.shown) },
      { title: t("channel.drift_known"), align: "right", render: (one) => number(one.exposure_before) },
      { title: t("channel.drift_proved"), align: "right", render: (one) => between(one) },
    ];
    return table(columns, drifts, { empty: t("channel.none_drifted"), caption: t("channel.drift_text") });
  }
}

function factsOf(health) {
  const { channel } = health;
  const { connector } = channel;
  const waits = health.oldest_push_time ? ledgerNow() - time(health.oldest_push_time) : null;
  const late = seconds(health.watermark_age);
  const drifted = health.drifts > 0 && health.last_drift;
  return [
    ["lag", health.lag_p99 !== null ? `${lagOf(health.lag_p50)} / ${lagOf(health.lag_p99)}` : "–", seconds(health.lag_p99) > LAG_SECONDS],
    ["confirmed", number(health.pushes)],
    ["waiting", waits === null ? number(health.pushes_open) : t("channel.waiting", { n: number(health.pushes_open), age: duration(waits) }), waits > WAIT_MS, dateTime(health.oldest_push_time)],
    ["failed", number(health.attempts_failed), health.attempts_failed > 0],
    ["limit", connector ? t("channel.limit", { n: rate(connector.calls_per_second), waiting: number(connector.waiting) }) : "–"],
    ["breaker", connector ? t(connector.breaker_open ? "channel.breaker_open" : "channel.breaker_closed") : "–", connector?.breaker_open],
    ["watermark", late === null ? "–" : duration(late * 1000), late > WATERMARK_SECONDS, dateTime(channel.watermark)],
    ["drift", drifted ? t("channel.drifted", { n: number(health.drifts), age: age(health.last_drift.judge_time) }) : number(health.drifts), health.drifts > 0],
    ["connector", connector ? t("channel.heard", { name: connector.connector_id, age: age(connector.heartbeat_time) }) : t("channel.never"), !connector],
  ];
}

/** True if it was the gateway that has paused it, for too many listings would have gone to zero (R31). */
function isBraked(channel) {
  return channel.pause_reason.startsWith("the brake");
}

function lagOf(value) {
  const lag = seconds(value);
  return lag === null ? "–" : duration(lag * 1000);
}

function listingName(one) {
  const skus = one.components.map(({ sku }, at) => [at > 0 && ", ", h("a", { class: "break", href: `/sku/${encodeURIComponent(sku)}` }, sku)]);
  return h("span", { class: "break" }, skus, h("span", { class: "muted small" }, ` #${one.listing_id} ${[one.item_id, one.platform_sku_id].filter(Boolean).join("/")}`));
}

function between({ exposure_least: least, exposure_most: most }) {
  return least === most ? number(most) : `${number(least)}–${number(most)}`;
}

async function done(method, request, saidAfter) {
  try {
    await change(method, request);
    notify(t(saidAfter), "ok");
  } catch (error) {
    notify(errorText(error), "problem");
  }
}

export default { path: "/channels", nav: "channels", mount };
