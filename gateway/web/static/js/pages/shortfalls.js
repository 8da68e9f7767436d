// Shortfalls: what was sold and cannot be served, who looks after it, and how it ended.
import { call, change } from "../api.js";
import { ask, empty, loading, notify } from "../dialog.js";
import { fill, h, keepingFocus } from "../dom.js";
import { age, dateTime, number } from "../format.js";
import { every } from "../polling.js";
import { errorText, session, signIn } from "../session.js";
import { table } from "../table.js";
import { t } from "../words.js";

const LOOK_MS = 5_000;
const PAGE_SIZE = 200;
const SHOWN_MAX = 1_000;
const RESOLUTION_MAX = 200;

export const words = {
  zh: {
    "short.title": "缺货单",
    "short.hint": "卖出去了却交不了货的件数。每一张都要有人负责，处理完写明怎么处理的。",
    "short.units": "件数",
    "short.sku": "SKU",
    "short.cause": "原因",
    "short.order": "订单",
    "short.location": "仓位",
    "short.opened": "发现",
    "short.owner": "负责人",
    "short.state": "处理",
    "short.take": "我来负责",
    "short.assign": "指派",
    "short.resolve": "处理完了",
    "short.resolve_title": "怎么处理的？",
    "short.resolve_text": "写给以后查的人看：补发、换货、退款，还是别的。写了就不能再改。",
    "short.resolution": "处理结果",
    "short.owner_title": "谁来负责？",
    "short.nobody": "没有人",
    "short.empty": "没有缺货",
    "short.empty_text": "卖出去的每一件都交得了货。出现缺货时会列在这里，并指明原因和订单。",
    "short.open": "未处理",
    "short.sum": "未处理 {count} 张，共 {units} 件",
    "short.sum_part": "只列出最近的：未处理 {count} 张，共 {units} 件",
    "short.show_resolved": "看处理完的",
    "short.hide_resolved": "不看处理完的",
    "short.resolved": "处理完的",
    "short.none_resolved": "还没有处理完的缺货单",
    "short.saved": "已记下",
    "cause.GOODS_GONE": "货不见了",
    "cause.PAID_TOO_LATE": "付款太晚",
    "cause.SOLD_BEYOND": "平台多卖",
    "cause.POLICY": "策略允许多卖",
  },
  en: {
    "short.title": "Shortfalls",
    "short.hint": "Units that were sold and cannot be served. Each needs an owner, and in the end says how it was resolved.",
    "short.units": "Units",
    "short.sku": "SKU",
    "short.cause": "Cause",
    "short.order": "Order",
    "short.location": "Location",
    "short.opened": "Found",
    "short.owner": "Owner",
    "short.state": "Resolution",
    "short.take": "I take it",
    "short.assign": "Assign",
    "short.resolve": "Resolve",
    "short.resolve_title": "How was it resolved?",
    "short.resolve_text": "For whoever looks it up later: sent after all, exchanged, refunded, or what else. It cannot be changed afterwards.",
    "short.resolution": "Resolution",
    "short.owner_title": "Who looks after it?",
    "short.nobody": "nobody",
    "short.empty": "Nothing is short",
    "short.empty_text": "Every unit that was sold can be served. If one cannot, it is listed here with its cause and its order.",
    "short.open": "Open",
    "short.sum": "{count} open, {units} units",
    "short.sum_part": "the newest only: {count} open, {units} units",
    "short.show_resolved": "Show resolved",
    "short.hide_resolved": "Hide resolved",
    "short.resolved": "Resolved",
    "short.none_resolved": "None was resolved yet",
    "short.saved": "Saved",
    "cause.GOODS_GONE": "goods are gone",
    "cause.PAID_TOO_LATE": "paid too late",
    "cause.SOLD_BEYOND": "sold beyond what was shown",
    "cause.POLICY": "its policy allows it",
  },
};

async function mount(root, { query, go }) {
  const withResolved = query.get("resolved") === "1";
  const place = h("div", { class: "stack short-lists" });
  const sum = h("span", { class: "muted" });
  const toggle = h("a", { class: "button", href: withResolved ? "/shortfalls" : "/shortfalls?resolved=1" }, t(withResolved ? "short.hide_resolved" : "short.show_resolved"));
  fill(root, h("div", { class: "page-head" }, h("h1", {}, t("short.title")), sum, toggle), h("p", { class: "muted short-hint" }, t("short.hint")), place);
  loading(place);
  let isGone = false;
  const draw = async () => {
    const { found, isPart } = await all(withResolved);
    if (isGone) return;
    const open = found.filter((one) => !one.resolve_time);
    fill(sum, open.length > 0 && t(isPart ? "short.sum_part" : "short.sum", { count: number(open.length), units: number(open.reduce((units, one) => units + one.quantity, 0)) }));
    const lists = [
      table(columns(draw), open, { empty: empty(t("short.empty"), t("short.empty_text")) }),
      withResolved && h("h2", {}, t("short.resolved")),
      withResolved && table(columns(draw), found.filter((one) => one.resolve_time), { empty: t("short.none_resolved") }),
    ];
    keepingFocus(place, () => fill(place, lists));
  };
  await draw();
  const end = every(LOOK_MS, place, draw);
  return () => {
    isGone = true;
    end();
  };
}

async function all(withResolved) {
  const found = [];
  let page = "";
  do {
    const answer = await call("ChannelService/ListShortfalls", { include_resolved: withResolved, page_size: PAGE_SIZE, page_token: page });
    found.push(...answer.shortfalls);
    page = answer.next_page_token;
  } while (page && found.length < SHOWN_MAX);
  return { found, isPart: Boolean(page) };
}

function columns(draw) {
  return [
    { title: t("short.units"), align: "right", render: (one) => h("strong", { class: "num" }, number(one.quantity)) },
    { title: t("short.sku"), render: (one) => h("a", { class: "break", href: `/sku/${encodeURIComponent(one.sku)}` }, one.sku) },
    { title: t("short.cause"), render: (one) => h("span", { class: "chip bad" }, causeOf(one)) },
    { title: t("short.order"), render: (one) => h("span", { class: "break" }, one.order_id || "–") },
    { title: t("short.location"), render: (one) => one.location },
    { title: t("short.opened"), render: (one) => h("span", { class: "num", title: dateTime(one.open_time) }, age(one.open_time)) },
    { title: t("short.owner"), render: (one) => one.owner || h("span", { class: "problem" }, t("short.nobody")) },
    { title: t("short.state"), class: "short-state", render: (one) => (one.resolve_time ? resolved(one) : actions(one, draw)) },
  ];
}

function causeOf(one) {
  return t(`cause.${one.cause.replace("SHORTFALL_CAUSE_", "")}`);
}

function resolved(one) {
  return h("span", { class: "break" }, one.resolution, " ", h("span", { class: "muted small num", title: dateTime(one.resolve_time) }, age(one.resolve_time)));
}

function actions(one, draw) {
  const isMine = session.actor && one.owner === session.actor;
  return h(
    "div",
    { class: "row" },
    h("button", { class: "button small primary", dataset: { focus: `resolve ${one.shortfall_id}` }, onclick: () => resolve(one, draw) }, t("short.resolve")),
    !isMine && h("button", { class: "button small", dataset: { focus: `take ${one.shortfall_id}` }, onclick: () => take(one, draw) }, t("short.take")),
    h("button", { class: "button small quiet", dataset: { focus: `assign ${one.shortfall_id}` }, onclick: () => assign(one, draw) }, t("short.assign")),
  );
}

async function resolve(one, draw) {
  const said = await ask({
    title: t("short.resolve_title"),
    text: t("short.resolve_text"),
    fields: [{ name: "resolution", label: t("short.resolution"), type: "textarea", required: true, maxlength: RESOLUTION_MAX }],
    confirm: t("short.resolve"),
  });
  if (said) await save({ shortfall_id: one.shortfall_id, resolution: said.resolution.replace(/\s+/g, " ") }, draw);
}

async function take(one, draw) {
  if (!session.actor && !(await signIn())) return;
  await save({ shortfall_id: one.shortfall_id, owner: session.actor }, draw);
}

async function assign(one, draw) {
  const said = await ask({
    title: t("short.owner_title"),
    fields: [{ name: "owner", label: t("short.owner"), required: true, value: one.owner, maxlength: 100 }],
    confirm: t("short.assign"),
  });
  if (said) await save({ shortfall_id: one.shortfall_id, owner: said.owner }, draw);
}

async function save(request, draw) {
  try {
    await change("ChannelService/ResolveShortfall", request);
    notify(t("short.saved"), "ok");
  } catch (error) {
    notify(errorText(error), "problem");
  }
  await draw();
}

export default { path: "/shortfalls", nav: "shortfalls", mount };
