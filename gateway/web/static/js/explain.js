// Why a channel shows what it shows: the sentence, and every station from the ledger to the platform.
import { call } from "./api.js";
import { h, s } from "./dom.js";
import { age, clock, number } from "./format.js";
import { addWords, pick, t } from "./words.js";

addWords({
  zh: {
    "explain.title": "为什么显示这个数",
    "explain.as_of": "截至 {at}，账本 #{revision}",
    "explain.link": "这一刻的链接",
    "explain.now": "看现在",
    "explain.shown": "上次读到",
    "explain.exposure": "还能卖",
    "explain.available": "账上可售",
    "explain.wanted": "按规则应有",
    "explain.since": "起于",
    "explain.next": "接下来",
    "explain.action": "可以做",
    "explain.evidence": "依据",
    "explain.trace": "链路",
    "explain.cause": "原因在这里",
    "station.LEDGER": "账本",
    "station.RESERVATIONS": "预占",
    "station.ALLOCATOR": "分配",
    "station.POLICY": "策略",
    "station.EXPOSURE": "占额",
    "station.GUARD": "闸门",
    "station.PUSH": "改动",
    "station.DELIVERY": "送达",
    "station.RATE_LIMIT": "限流",
    "station.BREAKER": "熔断",
    "station.ATTEMPT": "调用",
    "station.READING": "读数",
    "station.ORDERS": "订单",
    "station.RECONCILIATION": "对账",
    "decides.OK": "正常",
    "decides.WAITS": "在等",
    "decides.BLOCKS": "卡住",
    "decides.UNKNOWN": "不详",
    "decides.DECIDES": "由它定",
    "verdict.IN_STEP": "一致",
    "verdict.IN_FLIGHT": "在路上",
    "verdict.DELAYED": "迟了",
    "verdict.BLOCKED": "卡住了",
    "verdict.DRIFTED": "对不上",
    "verdict.PLATFORM_CACHED": "平台没刷新",
    "verdict.RULE_INTENDED": "规则如此",
    "evidence.movement": "账本 #{id}",
    "evidence.reservation": "预占 {id}",
    "evidence.push": "改动 {id}",
    "evidence.attempt": "调用 {id}",
    "evidence.drift": "偏差 {id}",
    "evidence.order": "订单 {id}",
    "evidence.policy": "策略 {id}",
    "evidence.channel": "渠道 {id}",
    "evidence.connector": "连接器 {id}",
  },
  en: {
    "explain.title": "Why it shows this number",
    "explain.as_of": "as of {at}, ledger #{revision}",
    "explain.link": "Link to this moment",
    "explain.now": "Show now",
    "explain.shown": "Last read",
    "explain.exposure": "Can still sell",
    "explain.available": "Ledger has",
    "explain.wanted": "Due by the rules",
    "explain.since": "Since",
    "explain.next": "Next",
    "explain.action": "To do",
    "explain.evidence": "Evidence",
    "explain.trace": "Trace",
    "explain.cause": "the cause is here",
    "station.LEDGER": "Ledger",
    "station.RESERVATIONS": "Reservations",
    "station.ALLOCATOR": "Allocator",
    "station.POLICY": "Policy",
    "station.EXPOSURE": "Exposure",
    "station.GUARD": "Guard",
    "station.PUSH": "Push",
    "station.DELIVERY": "Delivery",
    "station.RATE_LIMIT": "Rate limit",
    "station.BREAKER": "Breaker",
    "station.ATTEMPT": "Attempt",
    "station.READING": "Reading",
    "station.ORDERS": "Orders",
    "station.RECONCILIATION": "Reconciliation",
    "decides.OK": "ok",
    "decides.WAITS": "waits",
    "decides.BLOCKS": "stops",
    "decides.DECIDES": "decides",
    "decides.UNKNOWN": "unknown",
    "verdict.IN_STEP": "In step",
    "verdict.IN_FLIGHT": "In flight",
    "verdict.DELAYED": "Delayed",
    "verdict.BLOCKED": "Blocked",
    "verdict.DRIFTED": "Drifted",
    "verdict.PLATFORM_CACHED": "Platform cached",
    "verdict.RULE_INTENDED": "As the rules want it",
    "evidence.movement": "ledger #{id}",
    "evidence.reservation": "reservation {id}",
    "evidence.push": "push {id}",
    "evidence.attempt": "attempt {id}",
    "evidence.drift": "drift {id}",
    "evidence.order": "order {id}",
    "evidence.policy": "policy {id}",
    "evidence.channel": "channel {id}",
    "evidence.connector": "connector {id}",
  },
});

const CHIP = { IN_STEP: "good", IN_FLIGHT: "info", RULE_INTENDED: "", DELAYED: "warn", PLATFORM_CACHED: "warn", DRIFTED: "bad", BLOCKED: "bad" };

// Told apart by shape, not by colour alone.
const MARKS = {
  OK: () => s("path", { d: "M2.5 7.5 6 11l7.5-8", fill: "none", stroke: "currentColor", "stroke-width": 2 }),
  WAITS: () => [s("circle", { cx: 8, cy: 8, r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2 }), s("path", { d: "M8 4.5V8l2.5 2", fill: "none", stroke: "currentColor", "stroke-width": 2 })],
  BLOCKS: () => s("path", { d: "M3 3l10 10M13 3 3 13", fill: "none", stroke: "currentColor", "stroke-width": 2.6 }),
  DECIDES: () => s("path", { d: "M3 5.5h10M3 10.5h10", stroke: "currentColor", "stroke-width": 2.2 }),
  UNKNOWN: () => s("path", { d: "M3 8h10", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": "2 2" }),
};

/** A promise of a node that explains what a channel shows of a SKU, now or as of `at` (ISO 8601). */
export async function explainPanel(sku, channel, at) {
  const { explanations } = await call("OperationsService/ExplainListing", { sku, channel, ...(at ? { at } : {}) });
  return h("div", { class: "stack explain" }, explanations.map((one) => panel(one, { sku, channel, isPast: Boolean(at), isOne: explanations.length === 1 })));
}

function panel(explanation, { sku, channel, isPast, isOne }) {
  const verdict = explanation.verdict.replace("EXPLANATION_VERDICT_", "");
  const listing = explanation.listing;
  const here = `/sku/${encodeURIComponent(sku)}?channel=${encodeURIComponent(channel)}`;
  return h(
    "section",
    { class: "explain-one", "aria-label": t("explain.title") },
    h(
      "div",
      { class: "row apart" },
      h("div", { class: "row" }, h("span", { class: ["chip", CHIP[verdict]] }, t(`verdict.${verdict}`)), !isOne && h("code", { class: "break" }, `${listing.item_id} · ${listing.platform_sku_id}`)),
      h(
        "div",
        { class: "row small" },
        h("span", { class: "muted num" }, t("explain.as_of", { at: clock(explanation.as_of), revision: number(explanation.revision) })),
        isPast ? h("a", { href: here }, t("explain.now")) : h("a", { href: `${here}&at=${encodeURIComponent(explanation.as_of)}` }, t("explain.link")),
      ),
    ),
    h("p", { class: "explain-head break" }, pick(explanation, "headline")),
    h("div", { class: "explain-figures" }, figure("shown", listing.shown), figure("exposure", listing.exposure), figure("available", explanation.available), figure("wanted", explanation.wanted)),
    h("ol", { class: "explain-chain" }, explanation.deciders.map((one) => station(one, one.kind === explanation.cause))),
  );
}

function figure(name, value) {
  return h("div", {}, h("span", { class: "muted small" }, t(`explain.${name}`)), h("strong", { class: "num" }, number(value)));
}

function station(decider, isCause) {
  const verdict = decider.verdict.replace("DECIDER_VERDICT_", "");
  const isFine = verdict === "OK" || verdict === "UNKNOWN";
  return h(
    "li",
    { class: "explain-station", dataset: { verdict }, "aria-current": isCause && "true" },
    h("span", { class: "explain-mark" }, s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, MARKS[verdict]?.())),
    h("span", { class: "explain-name" }, t(`station.${decider.kind.replace("DECIDER_KIND_", "")}`)),
    h("span", { class: "explain-word" }, t(`decides.${verdict}`)),
    h("div", { class: "explain-text break" }, h("span", {}, pick(decider, "text")), isCause && h("span", { class: "chip bad explain-cause" }, t("explain.cause")), more(decider, isFine)),
  );
}

function more(decider, isFine) {
  const evidence = decider.evidence.map((one) => h("code", { class: "break" }, t(`evidence.${one.kind}`, { id: one.id })));
  const trace = decider.trace_id && h("a", { href: `/trace/${decider.trace_id}` }, t("explain.trace"));
  if (isFine) return trace && h("span", { class: "small" }, " ", trace);
  const lines = [
    decider.since && ["since", `${clock(decider.since)} · ${age(decider.since)}`],
    decider.next && ["next", decider.next_time ? `${pick(decider, "next")} (${clock(decider.next_time)})` : pick(decider, "next")],
    decider.action && ["action", pick(decider, "action")],
    evidence.length > 0 && ["evidence", evidence],
    trace && ["trace", trace],
  ].filter(Boolean);
  return h("dl", { class: "explain-more small" }, lines.map(([name, of]) => [h("dt", { class: "muted" }, t(`explain.${name}`)), h("dd", {}, of)]));
}
