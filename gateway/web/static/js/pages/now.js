// Now: what needs a look, most pressing first.
import { call } from "../api.js";
import { acknowledge, silence } from "../deciding.js";
import { empty, loading } from "../dialog.js";
import { fill, h, mark, say } from "../dom.js";
import { number, tierChip, tierName, TIERS } from "../format.js";
import { addressOf, card, line } from "../card.js";
import { keyOf, live } from "../live.js";
import { t } from "../words.js";

export const words = {
  zh: {
    "now.empty": "还没有商品",
    "now.empty_text": "建好商品、收进库存之后，这里按轻重缓急列出它们。可以先试试：",
    "now.calm": "没有要处理的",
    "now.calm_text": "所有商品都在正常范围内。",
    "now.rest": "正常的商品",
    "now.rest_more": "只列出最要紧的 {shown} 个，共 {all} 个；其余的可以查找。",
    "now.found": "找到 {n} 个",
    "now.found_none": "没有商品的编号或名称里有这几个字",
    "now.search": "按编号或名称查找",
    "now.available": "可售",
    "now.left": "预计卖完",
    "now.pace": "销速",
    "now.per_minute": "{n} 单/分",
    "now.before": "此前 {n}",
    "now.not_soon": "一周内不会",
    "now.gone": "已无可售",
    "now.since": "{at}",
    "now.fan": "左边是最近半小时的销量，右边是库存接下来的走势：P10 到 P90",
    "now.can_sell": "可卖 {n}",
    "now.shows": "上次读到 {n}",
    "now.never_read": "还没读过",
    "now.moving": "在改",
    "now.explain": "为什么是这个数",
    "now.session": "直播 {id} 专属",
    "now.frozen": "已冻结",
    "now.is_silenced": "静音中",
    "now.end_silence": "结束静音",
    "now.silence_ended": "静音已结束",
    "now.ack": "确认",
    "now.ack_title": "确认 {sku}",
    "now.ack_text": "选一个处理办法。补货和调拨要写数量和到货时间。",
    "now.ack_action": "怎么处理",
    "now.with_note": "附言确认",
    "now.note": "附言",
    "now.units": "数量（件）",
    "now.arrive_minutes": "多少分钟后到",
    "now.units_by": "{n} 件，{at} 到",
    "now.acknowledged": "{sku} 已确认：{action}",
    "now.first": "{by} 已经在 {at} 确认了，以他为准。",
    "now.settled": "{by} 已经决定了。",
    "now.taken": "已确认",
    "now.silence": "静音",
    "now.silence_title": "静音 {sku}",
    "now.silence_text": "静音期间不再通知；紧急和售罄仍会通知。",
    "now.silence_for": "多久",
    "now.silence_minutes": "{n} 分钟",
    "now.silence_why": "例如：正在补货",
    "now.silenced": "{sku} 静音 {n} 分钟",
    "now.why": "为什么",
    "now.approve": "批准",
    "now.decline": "不批准",
    "now.decline_title": "不批准这个建议",
    "now.approved": "已批准，马上执行",
    "now.declined": "已回绝",
    "now.keys_next": "下一个",
    "now.keys_last": "上一个",
    "now.keys_open": "打开",
    "now.keys_ack": "确认选中的",
    "now.keys_silence": "静音选中的",
    "now.shortfalls": "{n} 张缺货单待处理",
    "now.channel_paused": "{channel} 已暂停",
    "now.channel_away": "{channel} 没有消息",
    "now.alerts_stale": "预警引擎没有运行：等级可能已经过时",
    "now.all": "全部",
    "do.WATCH": "盯着",
    "do.REPLENISH": "补货",
    "do.TRANSFER": "调拨",
    "do.CAP_SALES": "限量",
    "do.DELIST": "下架",
    "do.FALSE_ALARM": "误报",
    "channel.PAUSED": "已暂停",
    "channel.AWAY": "没有消息",
    "channel.PARKED": "被拒，待处理",
    "proposal.MOVE_UNITS": "建议：从 {from} 调 {n} 件到 {to}",
    "proposal.RAISE_EXCLUSIVE": "建议：给直播 {session} 增加 {n} 件专属库存",
    "proposal.LIST_SUBSTITUTE": "建议：换上替代品 {substitute}",
    "proposal.SLOW_PACE": "建议：放慢讲解",
  },
  en: {
    "now.empty": "No goods yet",
    "now.empty_text": "Once there are SKUs with stock they are listed here, most pressing first. To try:",
    "now.calm": "Nothing to do",
    "now.calm_text": "Every SKU is within its normal range.",
    "now.rest": "Normal",
    "now.rest_more": "The {shown} most pressing of {all}; search for the others.",
    "now.found": "{n} found",
    "now.found_none": "No SKU has this in its code or title",
    "now.search": "Search code or title",
    "now.available": "Available",
    "now.left": "Gone in about",
    "now.pace": "Pace",
    "now.per_minute": "{n}/min",
    "now.before": "{n} before",
    "now.not_soon": "not within a week",
    "now.gone": "nothing left",
    "now.since": "{at}",
    "now.fan": "Left: units sold in the last half hour. Right: how the stock may go, P10 to P90",
    "now.can_sell": "may sell {n}",
    "now.shows": "last read {n}",
    "now.never_read": "never read",
    "now.moving": "changing",
    "now.explain": "Why this number",
    "now.session": "session {id}'s own",
    "now.frozen": "frozen",
    "now.is_silenced": "silenced",
    "now.end_silence": "End the silence",
    "now.silence_ended": "The silence is over",
    "now.ack": "Acknowledge",
    "now.ack_title": "Acknowledge {sku}",
    "now.ack_text": "Choose what is done. Replenishing and transferring need how many and when.",
    "now.ack_action": "What is done",
    "now.with_note": "With a note",
    "now.note": "Note",
    "now.units": "Units",
    "now.arrive_minutes": "Minutes until they arrive",
    "now.units_by": "{n} units by {at}",
    "now.acknowledged": "{sku} acknowledged: {action}",
    "now.first": "{by} was first, at {at}; that one stands.",
    "now.settled": "{by} has decided already.",
    "now.taken": "Acknowledged",
    "now.silence": "Silence",
    "now.silence_title": "Silence {sku}",
    "now.silence_text": "Nobody is notified meanwhile; URGENT and SOLD OUT get through.",
    "now.silence_for": "For how long",
    "now.silence_minutes": "{n} min",
    "now.silence_why": "e.g. more is on its way",
    "now.silenced": "{sku} silenced for {n} min",
    "now.why": "Why",
    "now.approve": "Approve",
    "now.decline": "Decline",
    "now.decline_title": "Decline this proposal",
    "now.approved": "Approved; it is carried out now",
    "now.declined": "Declined",
    "now.keys_next": "Next",
    "now.keys_last": "Previous",
    "now.keys_open": "Open",
    "now.keys_ack": "Acknowledge the selected",
    "now.keys_silence": "Silence the selected",
    "now.shortfalls": "{n} shortfalls open",
    "now.channel_paused": "{channel} is paused",
    "now.channel_away": "{channel} is not heard",
    "now.alerts_stale": "The alert engine does not run: tiers may be out of date",
    "now.all": "All",
    "do.WATCH": "Watch",
    "do.REPLENISH": "Replenish",
    "do.TRANSFER": "Transfer",
    "do.CAP_SALES": "Cap",
    "do.DELIST": "Delist",
    "do.FALSE_ALARM": "False alarm",
    "channel.PAUSED": "paused",
    "channel.AWAY": "not heard",
    "channel.PARKED": "refused",
    "proposal.MOVE_UNITS": "Proposed: move {n} from {from} to {to}",
    "proposal.RAISE_EXCLUSIVE": "Proposed: {n} more units for session {session} alone",
    "proposal.LIST_SUBSTITUTE": "Proposed: show {substitute} instead",
    "proposal.SLOW_PACE": "Proposed: speak less of it",
  },
};

const COMMANDS = "stockgate sku create MUG-1 --title 马克杯\nstockgate stock receive MUG-1 200";
const LINES_MAX = 500;
const FOUND_MAX = 100;
const SEARCH_MS = 250;
// Nodes changed in one frame, so that a burst is spread over frames.
const NODES_PER_FRAME = 80;
// Lines that only trade places are put in order so seldom, so that nothing moves under the pointer.
const ORDER_MS = 5_000;

function mount(root, context) {
  const board = new Board(context);
  fill(root, board.node);
  if (live.tick() || live.rows().size) board.take({ full: true, rows: [...live.rows().values()], gone: [] });
  const ends = [
    live.on("board", (message) => board.take(message)),
    live.on("tick", (tick) => board.tick(tick)),
  ];
  board.keys();
  if (live.tick()) board.tick(live.tick());
  return () => {
    for (const end of ends) end();
    board.end();
  };
}

class Board {
  constructor(context) {
    this.context = context;
    this.rows = new Map();
    this.shown = new Map();
    this.dirty = new Set();
    this.visible = new Set();
    this.frame = 0;
    this.ordered = 0;
    this.isOrderDue = true;
    this.selected = "";
    this.words = context.query.get("q") || "";
    this.tier = "";
    this.searching = 0;
    this.build();
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "200px" });
    if (this.words) this.search();
  }

  build() {
    this.input = h("input", { type: "search", value: this.words, placeholder: t("now.search"), "aria-label": t("now.search"), maxlength: 100, oninput: () => this.typed() });
    this.counts = h("div", { class: "row counts" });
    this.pending = h("div", { class: "row pending" });
    this.cards = h("div", { class: "cards live" });
    this.lines = h("div", { class: "lines live", role: "table" });
    this.restTitle = h("h2", { class: "rest-title" });
    this.rest = h("section", { class: "rest", hidden: true }, this.restTitle, this.lines);
    this.place = h("div", {});
    this.told = h("p", { class: "hidden-text", role: "status", "aria-live": "polite" });
    loading(this.place);
    this.node = h(
      "div",
      { class: "now" },
      h("div", { class: "page-head" }, h("h1", {}, t("nav.now")), this.counts, this.input),
      this.pending,
      this.place,
      this.cards,
      this.rest,
      this.told,
    );
  }

  // ---- what is told

  take({ full, rows, gone }) {
    if (full) {
      const still = new Set(rows.map(keyOf));
      for (const key of this.rows.keys()) if (!still.has(key)) this.remove(key);
    }
    for (const key of gone) this.remove(key);
    for (const row of rows) {
      const key = keyOf(row);
      const before = this.rows.get(key);
      this.rows.set(key, row);
      this.dirty.add(key);
      if (!before || rankOf(before) !== rankOf(row)) this.isOrderDue = true;
      if (before && tierRank(row) > tierRank(before)) say(this.told, `${t(`tier.${tierName(row.tier)}`)} ${row.title || row.sku}`);
    }
    this.isHeard = true;
    this.schedule();
  }

  remove(key) {
    this.rows.delete(key);
    this.isOrderDue = true;
  }

  tick(tick) {
    const pending = [
      tick.alerts_stale && h("span", { class: "chip bad" }, t("now.alerts_stale")),
      tick.shortfalls > 0 && h("a", { class: "chip bad", href: "/shortfalls" }, t("now.shortfalls", { n: number(tick.shortfalls) })),
      tick.channels.map(({ channel, problem }) =>
        h("a", { class: "chip warn", href: "/channels" }, t(problem === "PAUSED" ? "now.channel_paused" : "now.channel_away", { channel })),
      ),
    ];
    const key = JSON.stringify([tick.alerts_stale, tick.shortfalls, tick.channels]);
    if (key !== this.pendingKey) {
      this.pendingKey = key;
      fill(this.pending, pending);
    }
    this.skus = tick.skus;
    if (performance.now() - this.ordered > ORDER_MS) {
      this.isOrderDue = true;
      this.schedule();
    }
  }

  // ---- drawing, once per frame

  schedule() {
    if (!this.frame && !this.ended) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    if (this.isOrderDue) this.order();
    let changed = 0;
    for (const key of this.dirty) {
      if (!this.visible.has(key)) continue;
      if (changed >= NODES_PER_FRAME) {
        this.schedule();
        break;
      }
      this.dirty.delete(key);
      this.shown.get(key)?.set(this.rows.get(key));
      changed += 1;
    }
  }

  /** Which rows are shown, as what, and where. */
  order() {
    this.isOrderDue = false;
    this.ordered = performance.now();
    const all = this.found ? this.found.map((row) => this.rows.get(keyOf(row)) || row) : [...this.rows.values()];
    const chosen = all.filter((row) => this.matches(row)).sort(byPressure);
    const cards = chosen.filter(needsLook);
    const lines = chosen.filter((row) => !needsLook(row)).slice(0, LINES_MAX);
    this.arrange(this.cards, cards, card);
    this.arrange(this.lines, lines, line);
    for (const [key, shown] of this.shown) {
      if (!shown.node.isConnected) this.forget(key, shown);
    }
    this.rest.hidden = lines.length === 0;
    say(this.restTitle, t("now.rest"));
    this.sayPlace(chosen, cards);
    this.sayCounts(all);
    this.select(this.selected, { scrolls: false });
  }

  arrange(place, rows, make) {
    let next = place.firstChild;
    for (const row of rows) {
      const key = keyOf(row);
      let shown = this.shown.get(key);
      if (!shown || shown.make !== make) {
        if (shown) this.forget(key, shown);
        shown = { ...make(row), make };
        shown.node.dataset.key = key;
        this.shown.set(key, shown);
        this.watcher.observe(shown.node);
      }
      if (shown.node === next) next = next.nextSibling;
      else place.insertBefore(shown.node, next);
    }
    while (next) {
      const after = next.nextSibling;
      next.remove();
      next = after;
    }
  }

  forget(key, shown) {
    this.watcher.unobserve(shown.node);
    shown.node.remove();
    if (this.shown.get(key) === shown) {
      this.shown.delete(key);
      this.visible.delete(key);
    }
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.visible.add(target.dataset.key);
      else this.visible.delete(target.dataset.key);
    }
    this.schedule();
  }

  matches(row) {
    return !this.tier || tierName(row.tier) === this.tier;
  }

  sayPlace(chosen, cards) {
    if (!this.isHeard) return;
    this.place.hidden = chosen.length > 0 && (cards.length > 0 || Boolean(this.found) || Boolean(this.tier));
    if (this.place.hidden) return;
    if (this.found) fill(this.place, empty(t("now.found_none")));
    else if (chosen.length > 0 || this.tier) fill(this.place, empty(t("now.calm"), t("now.calm_text")));
    else fill(this.place, empty(t("now.empty"), t("now.empty_text"), h("pre", { class: "commands mono" }, COMMANDS)));
  }

  sayCounts(rows) {
    const counts = Object.fromEntries(TIERS.map((tier) => [tier, 0]));
    for (const row of rows) counts[tierName(row.tier)] += 1;
    const key = JSON.stringify([counts, this.tier]);
    if (key === this.countsKey) return;
    this.countsKey = key;
    fill(
      this.counts,
      [...TIERS].reverse().map((tier) =>
        h(
          "button",
          { class: "count", "aria-pressed": String(this.tier === tier), "aria-label": `${t(`tier.${tier}`)} ${counts[tier]}`, onclick: () => this.choose(tier) },
          tierChip(tier),
          h("span", { class: "num" }, number(counts[tier])),
        ),
      ),
    );
  }

  choose(tier) {
    this.tier = this.tier === tier ? "" : tier;
    this.isOrderDue = true;
    this.schedule();
  }

  // ---- searching

  typed() {
    this.words = this.input.value.trim();
    clearTimeout(this.searching);
    this.searching = setTimeout(() => this.search(), SEARCH_MS);
  }

  async search() {
    const words = this.words;
    const found = words ? (await call("OperationsService/GetBoard", { query: words, rows_max: FOUND_MAX })).rows : null;
    if (words !== this.words || this.ended) return;
    this.found = found;
    this.isHeard = true;
    this.isOrderDue = true;
    this.schedule();
  }

  // ---- keys

  keys() {
    const { key } = this.context;
    key("j", t("now.keys_next"), () => this.step(1));
    key("k", t("now.keys_last"), () => this.step(-1));
    key("Enter", t("now.keys_open"), (event) => this.open(event));
    key("a", t("now.keys_ack"), () => this.withSelected((row) => needsLook(row) && acknowledge(row, "WATCH", { asksAll: true })));
    key("s", t("now.keys_silence"), () => this.withSelected((row) => silence(row)));
    key("/", t("keys.search"), () => this.input.focus());
  }

  step(by) {
    const keys = [...this.cards.children, ...this.lines.children].map((node) => node.dataset.key);
    const at = keys.indexOf(this.selected);
    const next = at < 0 ? (by > 0 ? 0 : keys.length - 1) : Math.min(keys.length - 1, Math.max(0, at + by));
    this.select(keys[next], { scrolls: true });
  }

  select(key, { scrolls }) {
    this.selected = key || "";
    for (const [other, shown] of this.shown) mark(shown.node, "data-selected", other === this.selected);
    const node = this.shown.get(this.selected)?.node;
    if (node && scrolls) {
      node.focus({ preventScroll: true });
      node.scrollIntoView({ block: "nearest" });
    }
  }

  withSelected(does) {
    const row = this.rows.get(this.selected);
    if (row) does(row);
  }

  open(event) {
    if (event.target.closest("a, button, summary")) {
      event.target.click();
      return;
    }
    this.withSelected((row) => this.context.go(addressOf(row)));
  }

  end() {
    this.ended = true;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.searching);
    this.watcher.disconnect();
  }
}

function needsLook(row) {
  return tierRank(row) > 0 || row.stale || row.proposals.length > 0;
}

function tierRank(row) {
  return TIERS.indexOf(tierName(row.tier));
}

/** What decides about a row's place at once; the rest can wait. */
function rankOf(row) {
  return `${row.tier} ${row.stale} ${Boolean(row.acknowledgement)} ${row.proposals.length > 0}`;
}

function byPressure(one, other) {
  return (
    tierRank(other) - tierRank(one) ||
    Boolean(one.acknowledgement) - Boolean(other.acknowledgement) ||
    (one.minutes_p50 ?? Infinity) - (other.minutes_p50 ?? Infinity) ||
    (one.sku < other.sku ? -1 : 1)
  );
}

export default { path: "/", nav: "now", mount };
