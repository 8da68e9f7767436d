// Audit: who did what, when and why; refusals too.
import { call } from "../api.js";
import { empty, loading } from "../dialog.js";
import { fill, h } from "../dom.js";
import { dateTime } from "../format.js";
import { outcomeChip, verb } from "../people.js";
import { more, table } from "../table.js";
import { t } from "../words.js";

const PAGE_SIZE = 50;
const FILTERS = ["sku", "channel", "actor"];

export const words = {
  zh: {
    "audit.title": "操作记录",
    "audit.hint": "每一次由人发起的改动，动手之前就记下；被拒绝的也在。",
    "audit.sku": "SKU",
    "audit.channel": "渠道",
    "audit.actor": "操作人",
    "audit.filter": "筛选",
    "audit.clear": "清除",
    "audit.time": "时间",
    "audit.what": "操作",
    "audit.about": "对象",
    "audit.outcome": "结果",
    "audit.reason": "理由",
    "audit.nobody": "没有说",
    "audit.content": "请求内容",
    "audit.trace": "链路",
    "audit.link": "这一条的链接",
    "audit.empty": "还没有操作",
    "audit.empty_text": "页面、命令行和接口上的每次改动都会出现在这里。",
    "audit.none": "没有符合的操作",
    "audit.none_text": "换一个 SKU、渠道或者名字；名字要写全。",
    "audit.from": "从第 {id} 条往前",
    "audit.newest": "看最新的",
  },
  en: {
    "audit.title": "Audit",
    "audit.hint": "Whatever a person asks to change is written down before it is done. Refusals are here too.",
    "audit.sku": "SKU",
    "audit.channel": "Channel",
    "audit.actor": "Person",
    "audit.filter": "Filter",
    "audit.clear": "Clear",
    "audit.time": "Time",
    "audit.what": "What",
    "audit.about": "About",
    "audit.outcome": "Outcome",
    "audit.reason": "Why",
    "audit.nobody": "not said",
    "audit.content": "The request",
    "audit.trace": "trace",
    "audit.link": "A link to this entry",
    "audit.empty": "Nobody has done anything yet",
    "audit.empty_text": "Every change by the page, the command line or the API will be listed here.",
    "audit.none": "Nothing fits",
    "audit.none_text": "Try another SKU, channel or name; names are compared whole.",
    "audit.from": "From entry {id} back",
    "audit.newest": "Show the newest",
  },
};

async function mount(root, { query, go, key }) {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || ""]));
  const entryId = Number(query.get("entry")) || 0;
  const place = h("div", { class: "stack" });
  fill(
    root,
    h("div", { class: "page-head" }, h("h1", {}, t("audit.title")), filterForm(wanted, go, key)),
    h("p", { class: "muted audit-hint" }, t("audit.hint")),
    entryId > 0 && h("p", { class: "row" }, h("span", { class: "chip info" }, t("audit.from", { id: entryId })), h("a", { href: "/audit" }, t("audit.newest"))),
    place,
  );
  loading(place);
  const request = { ...wanted, up_to_audit_id: entryId, page_size: PAGE_SIZE };
  const first = await call("OperationsService/ListAudit", request);
  const isFiltered = entryId > 0 || FILTERS.some((name) => wanted[name]);
  const none = isFiltered ? empty(t("audit.none"), t("audit.none_text")) : empty(t("audit.empty"), t("audit.empty_text"));
  const list = table(columns(entryId), first.entries, { empty: none });
  fill(place, list, first.next_page_token && moreButton(list, request, first.next_page_token, entryId));
}

function filterForm(wanted, go, key) {
  const inputs = FILTERS.map((name) => h("input", { type: "search", name, value: wanted[name], placeholder: t(`audit.${name}`), "aria-label": t(`audit.${name}`), maxlength: 128 }));
  key("/", t("keys.search"), () => inputs[0].focus());
  const form = h("form", { class: "row audit-filter", role: "search" }, inputs, h("button", { class: "button" }, t("audit.filter")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const said = inputs.filter((input) => input.value.trim()).map((input) => [input.name, input.value.trim()]);
    go(said.length > 0 ? `/audit?${new URLSearchParams(said)}` : "/audit");
  });
  if (FILTERS.some((name) => wanted[name])) form.append(h("a", { class: "button quiet", href: "/audit" }, t("audit.clear")));
  return form;
}

function moreButton(list, request, token, entryId) {
  let next = token;
  const button = h("button", { class: "button" }, t("more"));
  button.addEventListener("click", async () => {
    button.disabled = true;
    const page = await call("OperationsService/ListAudit", { ...request, page_token: next }).finally(() => {
      button.disabled = false;
    });
    more(list, columns(entryId), page.entries);
    next = page.next_page_token;
    if (!next) button.remove();
  });
  return h("div", { class: "row" }, button);
}

function columns(entryId) {
  return [
    { title: t("audit.time"), class: "num", render: (entry) => timeOf(entry, entryId) },
    { title: t("audit.actor"), render: (entry) => entry.actor || h("span", { class: "muted" }, t("audit.nobody")) },
    { title: t("audit.what"), render: (entry) => h("span", { title: entry.method }, verb(entry.method)) },
    { title: t("audit.about"), render: about },
    { title: t("audit.outcome"), render: outcomeChip },
    { title: t("audit.reason"), class: "audit-why", render: why },
  ];
}

function timeOf(entry, entryId) {
  const link = h("a", { href: `/audit?entry=${entry.audit_id}`, title: t("audit.link") }, dateTime(entry.record_time));
  return entry.audit_id === entryId ? h("strong", { class: "audit-found" }, link) : link;
}

function about(entry) {
  const parts = [
    entry.sku && h("a", { href: `/sku/${encodeURIComponent(entry.sku)}`, class: "break" }, entry.sku),
    entry.channel && h("span", { class: "chip" }, entry.channel),
  ].filter(Boolean);
  return parts.length > 0 ? h("span", { class: "row" }, parts) : h("span", { class: "muted" }, "–");
}

function why(entry) {
  return h(
    "div",
    { class: "stack small-gap" },
    entry.reason && h("span", { class: "break" }, entry.reason),
    h("details", {}, h("summary", { class: "muted small" }, t("audit.content")), h("pre", { class: "audit-content" }, pretty(entry.content_json))),
    entry.trace_id && h("a", { class: "small", href: `/trace/${entry.trace_id}` }, t("audit.trace")),
  );
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

export default { path: "/audit", nav: "audit", mount };
