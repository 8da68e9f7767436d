// Recent traces, and one of them as a waterfall: what came of what, in which process, and how long it took.
import { ApiError, call, change } from "../api.js";
import { empty, loading, notify } from "../dialog.js";
import { fill, h, mark } from "../dom.js";
import { clock, dateTime, number, seconds } from "../format.js";
import { errorText } from "../session.js";
import { ordered } from "../spans.js";
import { table } from "../table.js";
import { has, lang, t } from "../words.js";

export const words = {
  zh: {
    "trace.title": "链路",
    "trace.recent": "最近的链路",
    "trace.recent_text": "每个进程做了什么、为了什么、花了多久。保留一小时；平时抽十分之一，出错和慢的都留。",
    "trace.sku": "只看这个 SKU",
    "trace.errors": "只看出错的",
    "trace.again": "刷新",
    "trace.follow": "跟踪 10 分钟",
    "trace.following": "{sku}：到 {at} 为止全部留下",
    "trace.sku_unknown": "先填一个 SKU",
    "trace.none": "还没有链路",
    "trace.none_text": "一有订单、改动或读数，这里就有。",
    "trace.none_found": "没有符合的链路",
    "trace.begun": "开始",
    "trace.what": "做什么",
    "trace.process": "进程",
    "trace.spans": "段数",
    "trace.took": "用时",
    "trace.state": "结果",
    "trace.failed": "出错",
    "trace.fine": "正常",
    "trace.gone": "这条链路已经没有了",
    "trace.gone_text": "链路保留一小时，平时每十条抽一条。时间线、解释和操作记录不靠它，一直都在。",
    "trace.summary": "{spans} 段 · {traces} 条链路 · {took}",
    "trace.summary_one": "{spans} 段 · {took}",
    "trace.failures": "{n} 段出错",
    "trace.linked": "连同相关链路",
    "trace.alone": "只看这一条",
    "trace.goes_on": "接自另一条链路",
    "trace.other": "属于链路",
    "trace.links": "接自",
    "trace.from": "起点",
    "trace.attributes": "属性",
    "trace.kind": "角色",
    "trace.back": "全部链路",
    "span.take order": "取订单",
    "span.walk orders": "巡订单",
    "span.read listings": "读数",
    "span.process push": "改数",
    "span.report pushes": "回报改数",
    "span.ChannelService/ReportOrders": "收订单",
    "span.ChannelService/ReportPushes": "收回报",
    "span.ChannelService/ReportShelf": "收读数",
    "span.ChannelService/WatchAllocations deliver": "下发改数",
    "span.AlertService/WatchTierChanges deliver": "送出预警",
    "span.group": "记账",
    "span.allocate": "分配",
    "span.alert": "预警",
    "span.sync": "同步全程",
  },
  en: {
    "trace.title": "Traces",
    "trace.recent": "Recent traces",
    "trace.recent_text": "What each process did, because of what, and how long it took. Kept for an hour: one in ten, and all that failed or was slow.",
    "trace.sku": "Only this SKU",
    "trace.errors": "Only failures",
    "trace.again": "Refresh",
    "trace.follow": "Trace for 10 min",
    "trace.following": "{sku}: everything is kept until {at}",
    "trace.sku_unknown": "Name a SKU first",
    "trace.none": "No traces yet",
    "trace.none_text": "With the first order, push or reading there will be.",
    "trace.none_found": "No such traces",
    "trace.begun": "Begun",
    "trace.what": "What",
    "trace.process": "Process",
    "trace.spans": "Spans",
    "trace.took": "Took",
    "trace.state": "Result",
    "trace.failed": "failed",
    "trace.fine": "fine",
    "trace.gone": "This trace is no longer kept",
    "trace.gone_text": "Traces are kept for an hour, and of most work one in ten. Timeline, explanations and audit do not need them.",
    "trace.summary": "{spans} spans · {traces} traces · {took}",
    "trace.summary_one": "{spans} spans · {took}",
    "trace.failures": "{n} failed",
    "trace.linked": "With linked traces",
    "trace.alone": "This one only",
    "trace.goes_on": "goes on from another trace",
    "trace.other": "Of trace",
    "trace.links": "Goes on from",
    "trace.from": "Begins at",
    "trace.attributes": "Attributes",
    "trace.kind": "Kind",
    "trace.back": "All traces",
  },
};

const PAGE_SIZE = 100;
const AGAIN_MS = 5000;
const FOLLOW_SECONDS = 600;
// A deeper one is indented no further: the name is to be read.
const DEPTH_MAX = 8;
const TICKS = [0, 0.25, 0.5, 0.75, 1];

/** `0.4 ms`, `188 ms`, `2.04 s`: how long a part took. */
function took(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

function process(service) {
  return service.replace(/^stockgate-/, "");
}

function shortName(name) {
  return name.replace(/^gateway\.v1\./, "");
}

/** Ours also as people call it; others' as they call themselves. */
function nameNodes(name) {
  const short = shortName(name);
  return has(`span.${short}`) && lang() === "zh" ? [t(`span.${short}`), " ", h("small", { class: "muted" }, short)] : short;
}

function failedChip(isFailed) {
  return isFailed ? h("span", { class: "chip bad" }, "✕ ", t("trace.failed")) : h("span", { class: "muted" }, t("trace.fine"));
}

// ---- recent ones

async function mountList(root, context) {
  const place = h("div", {});
  const sku = h("input", { type: "search", value: context.query.get("sku") || "", placeholder: t("trace.sku"), "aria-label": t("trace.sku"), maxlength: 64 });
  const errors = h("input", { type: "checkbox", checked: context.query.get("errors") === "1" });
  let turn = 0;

  async function read({ quietly = false } = {}) {
    // Whoever is in the middle of the list keeps his place.
    if (quietly && (document.hidden || place.contains(document.activeElement))) return;
    turn += 1;
    const mine = turn;
    const wanted = { page_size: PAGE_SIZE, sku: sku.value.trim(), only_errors: errors.checked };
    const query = new URLSearchParams();
    if (wanted.sku) query.set("sku", wanted.sku);
    if (wanted.only_errors) query.set("errors", "1");
    history.replaceState(null, "", query.size ? `/trace?${query}` : "/trace");
    try {
      const { traces } = await call("OperationsService/ListTraces", wanted);
      if (mine === turn) fill(place, drawn(traces, wanted));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (mine === turn) fill(place, empty(t("failed.title"), errorText(error)));
    }
  }

  function drawn(traces, wanted) {
    const isNarrow = wanted.sku || wanted.only_errors;
    const columns = [
      { title: t("trace.begun"), render: (one) => h("span", { class: "num" }, clock(one.begin_time)) },
      { title: t("trace.what"), class: "break", render: (one) => h("a", { href: `/trace/${one.trace_id}` }, nameNodes(one.name)) },
      { title: t("trace.process"), render: (one) => process(one.service) },
      { title: t("trace.spans"), align: "right", render: (one) => number(one.spans) },
      { title: t("trace.took"), align: "right", render: (one) => took(seconds(one.duration) * 1000) },
      { title: t("trace.state"), render: (one) => failedChip(one.error) },
    ];
    return table(columns, traces, {
      empty: isNarrow ? empty(t("trace.none_found")) : empty(t("trace.none"), t("trace.none_text")),
      onrow: (one) => context.go(`/trace/${one.trace_id}`),
    });
  }

  async function follow() {
    const code = sku.value.trim();
    if (!code) {
      notify(t("trace.sku_unknown"), "problem");
      sku.focus();
      return;
    }
    try {
      const { until } = await change("OperationsService/TraceSku", { sku: code, duration: `${FOLLOW_SECONDS}s` });
      notify(t("trace.following", { sku: code, at: clock(until) }), "ok");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      notify(errorText(error), "problem");
    }
  }

  sku.addEventListener("change", () => read());
  errors.addEventListener("change", () => read());
  fill(
    root,
    h("div", { class: "page-head" }, h("h1", {}, t("trace.recent")), sku, h("button", { class: "button", onclick: follow }, t("trace.follow"))),
    h(
      "div",
      { class: "row apart trace-tools" },
      h("p", { class: "muted small" }, t("trace.recent_text")),
      h("div", { class: "row" }, h("label", { class: "row tight" }, errors, t("trace.errors")), h("button", { class: "button small", onclick: () => read() }, t("trace.again"))),
    ),
    place,
  );
  loading(place);
  context.key("/", t("keys.search"), () => sku.focus());
  context.key("r", t("trace.again"), () => read());
  const ends = setInterval(() => read({ quietly: true }), AGAIN_MS);
  await read();
  return () => {
    turn += 1;
    clearInterval(ends);
  };
}

// ---- one

async function mountOne(root, context) {
  const id = context.params.id;
  const isAlone = context.query.get("alone") === "1";
  loading(root);
  const { spans } = await call("OperationsService/GetTrace", { trace_id: id, without_linked: isAlone });
  if (spans.length === 0) {
    fill(root, empty(t("trace.gone"), t("trace.gone_text"), h("a", { class: "button", href: "/trace" }, t("trace.back"))));
    return;
  }
  const { lines, whole } = ordered(spans);
  const traces = new Set(spans.map((span) => span.trace_id)).size;
  const failures = spans.filter((span) => span.error).length;
  const summary = { spans: number(spans.length), traces: number(traces), took: took(whole) };
  const own = lines.find(({ span }) => span.trace_id === id) || lines[0];
  fill(
    root,
    h(
      "div",
      { class: "page-head" },
      h("h1", { class: "break" }, nameNodes(own.span.name)),
      h("a", { class: "button", href: isAlone ? `/trace/${id}` : `/trace/${id}?alone=1` }, t(isAlone ? "trace.linked" : "trace.alone")),
      h("a", { class: "button", href: "/trace" }, t("trace.back")),
    ),
    h(
      "div",
      { class: "row trace-facts" },
      h("code", { class: "break" }, id),
      h("span", { class: "muted" }, dateTime(lines[0].span.begin_time)),
      h("span", {}, t(traces > 1 ? "trace.summary" : "trace.summary_one", summary)),
      failures > 0 && h("span", { class: "chip bad" }, "✕ ", t("trace.failures", { n: number(failures) })),
    ),
    h("div", { class: "card waterfall" }, axis(whole), lines.map((line) => lineNode(line, whole, id))),
  );
}

function axis(whole) {
  return h(
    "div",
    { class: "span-line axis", "aria-hidden": "true" },
    h("span", {}),
    h("span", { class: "track" }, TICKS.slice(0, -1).map((at) => h("span", { class: "tick", style: { left: `${at * 100}%` } }, took(at * whole)))),
    h("span", { class: "right" }, took(whole)),
  );
}

function lineNode(line, whole, id) {
  const { span } = line;
  const more = h("div", { class: "span-more", hidden: true });
  const toggle = () => {
    if (!more.firstChild) fill(more, details(line, id));
    more.hidden = !more.hidden;
    mark(button, "aria-expanded", String(!more.hidden));
  };
  const left = Math.min(99.5, (line.begin / whole) * 100);
  const width = Math.max(0.4, Math.min(100 - left, (line.took / whole) * 100));
  const button = h(
    "button",
    { class: ["span-line", span.error && "failed"], "aria-expanded": "false", onclick: toggle },
    h(
      "span",
      { class: "span-name", style: { "--depth": String(Math.min(line.depth, DEPTH_MAX)) } },
      line.isLinked && h("span", { class: "goes-on", title: t("trace.goes_on") }, "↪"),
      h("span", { class: "service", dataset: { service: process(span.service) } }, process(span.service)),
      h("span", { class: "what truncate" }, nameNodes(span.name)),
      span.error && h("span", { class: "chip bad" }, "✕ ", span.attributes["error.type"] || t("trace.failed")),
    ),
    h("span", { class: "track" }, h("span", { class: "bar", dataset: { service: process(span.service) }, style: { left: `${left}%`, width: `${width}%` } })),
    h("span", { class: "right num" }, took(line.took)),
  );
  return h("div", { class: "span" }, button, more);
}

function details({ span, begin }, id) {
  const facts = [
    [t("trace.from"), `+${took(begin)} · ${dateTime(span.begin_time)}`],
    [t("trace.kind"), span.kind],
    span.trace_id !== id && [t("trace.other"), h("a", { class: "mono", href: `/trace/${span.trace_id}` }, span.trace_id)],
    span.links.length > 0 && [
      t("trace.links"),
      span.links.map((link) => h("a", { class: "mono link-line", href: `/trace/${link.trace_id}` }, link.trace_id)),
    ],
    ...Object.entries(span.attributes)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, value]) => [h("code", {}, name), valueNode(name, value)]),
  ].filter(Boolean);
  return h("dl", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", { class: "break" }, value)]));
}

function valueNode(name, value) {
  return name === "stockgate.sku" && value ? h("a", { href: `/sku/${encodeURIComponent(value)}` }, value) : value;
}

export const list = { path: "/trace", nav: "", mount: mountList };
export default { path: "/trace/:id", nav: "", mount: mountOne };
