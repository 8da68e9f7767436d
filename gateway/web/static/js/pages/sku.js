// A SKU: what there is of it, what each channel shows and why, how it went, everything that happened to it.
import { call } from "../api.js";
import { course } from "../course.js";
import { empty } from "../dialog.js";
import { fill, h, say } from "../dom.js";
import { explainPanel } from "../explain.js";
import { age, number, tierChip } from "../format.js";
import { live } from "../live.js";
import { past } from "../past.js";
import { errorText } from "../session.js";
import { titled } from "../shell.js";
import { table } from "../table.js";
import { pick, t } from "../words.js";
import { words } from "./sku_words.js";

export { words };

const SEARCH_MS = 180;
const FOUND_MAX = 12;
const REFRESH_MS = 2_000;

/** The search alone: `/sku`, and `/sku?q=cup`. */
export const search = {
  path: "/sku",
  nav: "",
  mount(root, { query, go, key }) {
    titled(t("sku.search_title"));
    const { node, input } = searchBox(go, query.get("q") || "");
    key("/", t("keys.search"), () => input.focus());
    fill(root, h("div", { class: "page-head" }, h("h1", {}, t("sku.search_title"))), h("div", { class: "card sku-search-card" }, node));
    input.focus();
  },
};

async function mount(root, { params, query, go, key }) {
  const { sku } = params;
  titled(sku);
  const [{ sku: known }, { policy }] = await Promise.all([
    call("CatalogService/GetSku", { sku }),
    call("CatalogService/GetPolicy", { sku }),
  ]).catch((error) => {
    if (error.reason !== "SKU_UNKNOWN") throw error;
    return [{}, {}];
  });
  if (!known) {
    fill(root, empty(t("sku.unknown"), t("sku.unknown_text", { sku }), searchBox(go).node));
    return null;
  }
  const found = searchBox(go);
  key("/", t("keys.search"), () => found.input.focus());
  const chip = h("span", { class: "row tight live" });
  const why = h("p", { class: "muted break sku-why live" });
  const levels = h("section", { class: "card stack live" });
  const shelves = h("section", { class: "card stack live" });
  const explained = h("section", { class: "card sku-explained", hidden: true });
  const chart = h("section", { class: "card stack" });
  const line = h("section", { class: "card stack" });
  fill(
    root,
    h(
      "div",
      { class: "page-head sku-head" },
      h("div", { class: "sku-name" }, h("h1", { class: "break" }, known.title || sku), h("div", { class: "row" }, h("code", { class: "muted break" }, sku), chip)),
      found.node,
    ),
    why,
    h("div", { class: "sku-top" }, levels, shelves),
    explained,
    h("div", { class: "sku-facts row" }, facts(known, policy)),
    chart,
    line,
  );
  const ends = [course(chart, sku), past(line, sku, { query, go }), stand({ sku, chip, why, levels, shelves, explained, query })];
  return () => ends.forEach((end) => end());
}

function facts(known, policy) {
  const kind = policy.kind.replace("POLICY_KIND_", "");
  const shares = policy.shares.map(({ channel, share, cap }) => `${channel}${share ? ` ${number(share)}` : ""}${cap === null ? "" : ` ≤ ${number(cap)}`}`);
  const limits = [
    policy.stop_at > 0 && t("policy.stop_at", { n: number(policy.stop_at) }),
    policy.shown_min > 0 && t("policy.shown_min", { n: number(policy.shown_min) }),
  ].filter(Boolean);
  return [
    h("span", { class: "muted" }, t("sku.policy")),
    h("span", { class: "chip" }, t(`policy.${kind}`)),
    [...shares, ...limits].map((text) => h("span", { class: "small break" }, text)),
    known.substitutes.length > 0 && [
      h("span", { class: "muted sku-gap" }, t("sku.substitutes")),
      known.substitutes.map((code) => h("a", { class: "break", href: `/sku/${encodeURIComponent(code)}` }, code)),
    ],
    known.lead_time_mean_days !== null && [h("span", { class: "muted sku-gap" }, t("sku.lead_time")), t("unit.day", { n: known.lead_time_mean_days })],
    known.frozen && h("span", { class: "chip bad break" }, t("sku.frozen", { reason: known.freeze_reason })),
  ];
}

/** How it stands now, kept up. */
function stand({ sku, chip, why, levels, shelves, explained, query }) {
  let looked = 0;
  let isGone = false;
  let open = query.get("channel") || "";
  const draw = async () => {
    looked = Date.now();
    const [{ level }, board] = await Promise.all([
      call("StockService/GetStockLevel", { sku }),
      call("OperationsService/GetBoard", { skus: [sku] }).catch(() => ({ rows: [] })),
    ]);
    if (isGone) return;
    const row = board.rows.find((one) => one.session_id === 0) || board.rows[0];
    fill(chip, row && tierChip(row.tier, { stale: row.stale }), level.frozen && h("span", { class: "chip bad" }, t("sku.is_frozen")));
    say(why, row ? pick(row, "why") : "");
    drawLevels(levels, level);
    drawShelves(shelves, row?.channels || [], open, choose);
  };
  const choose = async (channel) => {
    open = open === channel ? "" : channel;
    await Promise.all([draw(), explain(explained, sku, open)]);
  };
  const first = Promise.all([draw(), explain(explained, sku, open, query.get("at"))]);
  first.catch((error) => isGone || fill(levels, h("p", { class: "problem" }, error.message)));
  const stop = live.on("tick", () => !document.hidden && Date.now() - looked > REFRESH_MS && draw().catch(() => {}));
  return () => {
    isGone = true;
    stop();
  };
}

/** Why the channel shows what it shows, now or as of `at`; without a channel nothing is shown. */
async function explain(node, sku, channel, at) {
  node.hidden = !channel;
  node.dataset.channel = channel;
  if (!channel) return;
  const title = h("h2", { class: "break" }, t("sku.why_channel", { channel }));
  try {
    const panel = await explainPanel(sku, channel, at || undefined);
    // Another channel's answer is wanted by now.
    if (node.dataset.channel === channel) fill(node, title, panel);
  } catch (error) {
    if (node.dataset.channel === channel) fill(node, title, h("p", { class: "problem" }, errorText(error)));
  }
}

function drawLevels(node, level) {
  const figure = (name, value, kind) => h("div", { class: "sku-figure" }, h("span", { class: "muted small" }, t(`sku.${name}`)), h("strong", { class: ["num", kind] }, number(value)));
  const columns = [
    { title: t("sku.location"), render: (one) => h("span", { class: "break" }, one.location) },
    ...["on_hand", "reserved", "safety_stock", "available", "exposed"].map((name) => ({ title: t(`sku.${name}`), align: "right", render: (one) => number(one[name]) })),
  ];
  fill(
    node,
    h("div", { class: "row apart" }, h("h2", {}, t("sku.levels")), h("span", { class: "muted small num" }, t("sku.revision", { n: number(level.revision) }))),
    h(
      "div",
      { class: "sku-figures" },
      figure("available", level.available, "sku-big"),
      figure("on_hand", level.on_hand),
      figure("reserved", level.reserved),
      figure("exposed", level.exposed),
      level.deficit > 0 && figure("deficit", level.deficit, "problem"),
    ),
    level.locations.length === 0 && h("p", { class: "muted" }, t("sku.no_stock")),
    level.locations.length > 1 && table(columns, level.locations),
  );
}

function drawShelves(node, channels, open, choose) {
  const columns = [
    { title: t("sku.channel"), render: (one) => h("strong", { class: "break" }, one.channel) },
    { title: t("sku.exposure"), align: "right", render: (one) => h("strong", { class: "num" }, number(one.exposure)) },
    { title: t("sku.shown"), align: "right", render: shownOf },
    { title: t("sku.state"), render: stateOf },
    { title: "", align: "right", render: (one) => whyButton(one.channel, open, choose) },
  ];
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.channel : null;
  const list = table(columns, channels, { empty: empty(t("sku.no_channel"), t("sku.no_channel_text")) });
  fill(node, h("h2", {}, t("sku.channels")), h("div", { class: "sku-shelves" }, list));
  if (focused) [...node.querySelectorAll("button")].find((button) => button.dataset.channel === focused)?.focus();
}

function whyButton(channel, open, choose) {
  const isOpen = open === channel;
  const does = () => choose(channel);
  return h("button", { class: "button small", "aria-expanded": String(isOpen), dataset: { channel }, onclick: does }, t(isOpen ? "sku.close" : "sku.why"));
}

function shownOf(one) {
  if (one.shown === null) return h("span", { class: "muted" }, "–");
  return h("span", { class: "num" }, number(one.shown), " ", h("span", { class: "muted small" }, one.read_time ? age(one.read_time) : ""));
}

function stateOf(one) {
  if (one.problem) return h("span", { class: "chip bad" }, t(`problem.${one.problem}`));
  if (one.moving) return h("span", { class: "chip info" }, t("sku.moving"));
  return h("span", { class: "chip good" }, t("sku.settled"));
}

/** A box that finds SKUs by code or title; Enter goes to the first. */
function searchBox(go, text = "") {
  const list = h("ul", { class: "sku-found card", hidden: true });
  const input = h("input", { type: "search", value: text, placeholder: t("sku.search"), "aria-label": t("sku.search"), maxlength: 64, autocomplete: "off" });
  let timer = 0;
  let turn = 0;
  const look = async () => {
    turn += 1;
    const mine = turn;
    const query = input.value.trim();
    const { rows } = query ? await call("OperationsService/GetBoard", { query, rows_max: FOUND_MAX }) : { rows: [] };
    if (mine !== turn) return [];
    const codes = rows.filter((row, place) => rows.findIndex((other) => other.sku === row.sku) === place);
    list.hidden = !query;
    fill(
      list,
      codes.map((row) => h("li", {}, h("a", { class: "row apart", href: `/sku/${encodeURIComponent(row.sku)}` }, h("span", { class: "sku-found-name" }, h("span", { class: "break" }, row.title || row.sku), h("code", { class: "muted break" }, row.sku)), tierChip(row.tier)))),
      codes.length === 0 && h("li", { class: "muted" }, t("sku.not_found")),
    );
    return codes;
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => look().catch(() => {}), SEARCH_MS);
  });
  const node = h("form", { class: "sku-search", role: "search" }, input, list);
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [first] = await look();
    if (first) go(`/sku/${encodeURIComponent(first.sku)}`);
  });
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape") list.hidden = true;
  });
  node.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !node.contains(event.relatedTarget)) list.hidden = true;
  });
  if (text) look().catch(() => {});
  return { node, input };
}

export default { path: "/sku/:sku", nav: "now", mount };
