// The card of a SKU that needs a look, and the line of one that does not.
import { AT_ONCE, WITH_UNITS, acknowledge, decide, endSilence, proposed, silence } from "./deciding.js";
import { fill, h, keepingFocus, mark, say } from "./dom.js";
import { fanChart } from "./fan.js";
import { age, clock, duration, number, rate, tierChip, tierName, time, when } from "./format.js";
import { pick, t } from "./words.js";

const MINUTE = 60_000;
// Before this nobody knows since when it is so.
const KNOWN_SINCE = Date.UTC(2000);

/** A card; `set(row)` shows another state of it, touching only what differs. */
export function card(first) {
  const parts = {
    chip: h("span", { class: "row tight" }),
    since: h("span", { class: "muted small num" }),
    title: h("a", { class: "card-title truncate" }),
    code: h("span", { class: "muted small mono truncate" }),
    available: h("strong", { class: "big num" }),
    left: h("strong", { class: "big num" }),
    range: h("span", { class: "muted small num" }),
    fast: h("strong", { class: "big num" }),
    slow: h("span", { class: "muted small num" }),
    channels: h("div", { class: "channels" }),
    why: h("p", { class: "why" }),
    proposals: h("div", { class: "proposals stack" }),
    taken: h("div", { class: "taken" }),
    actions: h("div", { class: "row actions" }),
  };
  const chart = fanChart(t("now.fan"));
  const node = h(
    "article",
    { class: "card sku-card", tabindex: -1 },
    h("header", { class: "row apart top-line" }, parts.chip, parts.since),
    h("div", { class: "name" }, parts.title, parts.code),
    h(
      "div",
      { class: "figures" },
      h("div", {}, h("span", { class: "muted small" }, t("now.available")), parts.available),
      h("div", {}, h("span", { class: "muted small" }, t("now.left")), parts.left, parts.range),
      h("div", {}, h("span", { class: "muted small" }, t("now.pace")), parts.fast, parts.slow),
    ),
    chart.node,
    parts.channels,
    parts.why,
    parts.proposals,
    parts.taken,
    parts.actions,
  );
  const built = new Map();
  let row = first;
  const set = (next) => {
    row = next;
    mark(node, "data-tier", tierName(row.tier));
    mark(node, "data-stale", row.stale);
    say(parts.title, row.title || row.sku);
    mark(parts.title, "href", addressOf(row));
    say(parts.code, row.session_id ? `${row.sku} · ${t("now.session", { id: row.session_id })}` : row.sku);
    say(parts.since, sinceOf(row));
    say(parts.available, number(row.available));
    sayLeft(parts, row);
    say(parts.fast, t("now.per_minute", { n: rate(row.fast_rate) }));
    say(parts.slow, t("now.before", { n: rate(row.slow_rate) }));
    say(parts.why, pick(row, "why"));
    chart.set(row);
    once(built, parts.chip, [row.tier, row.stale, row.frozen, row.silenced_by], () => chips(row));
    once(built, parts.channels, row.channels, () => (row.channels.length ? row.channels.map((channel) => channelLine(row, channel)) : h("span", { class: "muted small" }, t("now.nowhere"))));
    once(built, parts.proposals, row.proposals, () => row.proposals.map(proposalBlock));
    once(built, parts.taken, [row.acknowledgement], () => takenBy(row.acknowledgement));
    once(built, parts.actions, [row.tier, Boolean(row.acknowledgement), row.episode], () => actionsOf(row, () => row));
  };
  set(first);
  return { node, set, row: () => row };
}

/** A line; the same promises. */
export function line(first) {
  const parts = {
    chip: h("span", { class: "cell tier-cell" }),
    title: h("a", { class: "cell truncate" }),
    code: h("span", { class: "cell muted small mono truncate" }),
    available: h("span", { class: "cell right num" }),
    fast: h("span", { class: "cell right num muted" }),
    left: h("span", { class: "cell right num muted" }),
    channels: h("span", { class: "cell channels-cell row" }),
  };
  const node = h("div", { class: "sku-line", role: "listitem", tabindex: -1 }, Object.values(parts));
  const built = new Map();
  let row = first;
  const set = (next) => {
    row = next;
    say(parts.title, row.title || row.sku);
    mark(parts.title, "href", addressOf(row));
    say(parts.code, row.session_id ? `${row.sku} · ${t("now.session", { id: row.session_id })}` : row.sku);
    say(parts.available, number(row.available));
    mark(parts.available, "title", t("now.available"));
    say(parts.fast, row.fast_rate >= 0.05 ? t("now.per_minute", { n: rate(row.fast_rate) }) : "–");
    say(parts.left, leftOf(row.minutes_p50));
    once(built, parts.chip, [row.tier, row.stale, row.frozen, row.silenced_by], () => chips(row));
    once(built, parts.channels, row.channels, () => row.channels.map((channel) => channelChip(row, channel)));
  };
  set(first);
  return { node, set, row: () => row };
}

/** Where a row's SKU is shown. */
export function addressOf(row, channel = "") {
  const query = channel ? `?channel=${encodeURIComponent(channel)}` : "";
  return `/sku/${encodeURIComponent(row.sku)}${query}`;
}

/** Build a part anew only if what it is made of has changed. */
function once(built, node, of, build) {
  const key = JSON.stringify(of);
  if (built.get(node) === key) return;
  built.set(node, key);
  keepingFocus(node, () => fill(node, build()));
}

function chips(row) {
  return [
    tierChip(row.tier, { stale: row.stale }),
    row.frozen && h("span", { class: "chip warn" }, t("now.frozen")),
    row.silenced_by.map((id) =>
      h("span", { class: "chip" }, t("now.is_silenced"), h("button", { class: "chip-x", title: t("now.end_silence"), "aria-label": t("now.end_silence"), onclick: () => endSilence(id) }, "×")),
    ),
  ];
}

function sinceOf(row) {
  const since = time(row.tier_time);
  return since === null || since < KNOWN_SINCE || tierName(row.tier) === "NORMAL" ? "" : age(since);
}

function sayLeft(parts, row) {
  if (tierName(row.tier) === "SOLD_OUT" || row.available === 0) {
    say(parts.left, t("now.gone"));
    say(parts.range, "");
  } else {
    say(parts.left, leftOf(row.minutes_p50));
    const latest = row.minutes_p90 === null ? "…" : duration(row.minutes_p90 * MINUTE);
    say(parts.range, row.minutes_p10 === null ? t("now.not_soon") : `${duration(row.minutes_p10 * MINUTE)} – ${latest}`);
  }
}

function leftOf(minutes) {
  return minutes === null ? "–" : duration(minutes * MINUTE);
}

function channelLine(row, channel) {
  return h(
    "a",
    { class: "channel", href: addressOf(row, channel.channel), title: t("now.explain") },
    h("span", { class: "truncate" }, channel.channel),
    h("span", { class: "num" }, t("now.can_sell", { n: number(channel.exposure) })),
    h("span", { class: "num muted", title: channel.read_time && clock(channel.read_time) }, channel.shown === null ? t("now.never_read") : t("now.shows", { n: number(channel.shown) })),
    channel.problem ? h("span", { class: "chip warn" }, t(`channel.${channel.problem}`)) : channel.moving ? h("span", { class: "chip" }, t("now.moving")) : h("span"),
  );
}

function channelChip(row, channel) {
  return h(
    "a",
    { class: ["chip", channel.problem && "warn"], href: addressOf(row, channel.channel), title: t("now.explain") },
    channel.channel,
    " ",
    number(channel.exposure),
    channel.problem && ` · ${t(`channel.${channel.problem}`)}`,
  );
}

function proposalBlock(proposal) {
  return h(
    "div",
    { class: "proposal" },
    h("div", {}, h("strong", {}, proposed(proposal)), h("p", { class: "muted small break" }, pick(proposal, "reason"))),
    h(
      "div",
      { class: "row" },
      h("button", { class: "button small primary", onclick: () => decide(proposal, true) }, t("now.approve")),
      h("button", { class: "button small", onclick: () => decide(proposal, false) }, t("now.decline")),
    ),
  );
}

function takenBy(held) {
  if (!held) return null;
  const action = held.action.replace("ACK_ACTION_", "");
  const units = held.quantity ? ` ${t("now.units_by", { n: number(held.quantity), at: when(held.arrive_time) })}` : "";
  return [
    h("span", { class: "chip good" }, t("now.taken")),
    h("span", { class: "break" }, h("strong", {}, held.actor), ` ${clock(held.time)} · ${t(`ack.${action}`)}${units}`, held.note && h("span", { class: "muted" }, ` · ${held.note}`)),
  ];
}

function actionsOf(row, current) {
  if (tierName(row.tier) === "NORMAL" || !row.episode) return null;
  const quiet = h("button", { class: "button small quiet", onclick: () => silence(current()) }, t("now.silence"));
  if (row.acknowledgement) return [quiet];
  const button = (action, says, kind) => h("button", { class: ["button", "small", kind], onclick: () => acknowledge(current(), action) }, says);
  return [
    AT_ONCE.map((action, place) => button(action, t(`do.${action}`), place === 0 && "primary")),
    WITH_UNITS.map((action) => button(action, `${t(`do.${action}`)} …`)),
    h("button", { class: "button small quiet", onclick: () => acknowledge(current(), "WATCH", { asksAll: true }) }, `${t("now.with_note")} …`),
    quiet,
  ];
}
