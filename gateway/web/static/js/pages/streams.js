// Streams: who reads the warnings, how far behind, and why streams have ended.
import { call } from "../api.js";
import { empty, loading } from "../dialog.js";
import { fill, h, say } from "../dom.js";
import { age, dateTime, number } from "../format.js";
import { every } from "../polling.js";
import { table } from "../table.js";
import { has, t } from "../words.js";

const LOOK_MS = 2_000;
const KINDS = { SYNCED: "good", LAGGING: "warn", COALESCING: "warn", SILENT: "bad", GONE: "" };
const RANKS = ["SILENT", "LAGGING", "COALESCING", "SYNCED", "GONE"];

export const words = {
  zh: {
    "stream.hint": "谁在听预警，落后多少，断开是为什么。一个读得慢的，不会拖慢别人。",
    "stream.revision": "预警日志到 {revision} 号",
    "stream.name": "订阅者",
    "stream.anonymous": "没有名字，例如打开的页面",
    "stream.state": "状态",
    "stream.waiting": "没读到的",
    "stream.sent": "已发到",
    "stream.cursor": "已读到",
    "stream.since": "连接",
    "stream.report": "上次报告",
    "stream.coalesced": "合并次数",
    "stream.elsewhere": "不在这个网关",
    "stream.none": "没有人在听",
    "stream.none_text": "主播的大屏、群机器人或自己的程序订阅之后，会列在这里。",
    "stream.closed": "断开的连接",
    "stream.closed_hint": "从这个网关启动算起。",
    "stream.reason": "原因",
    "stream.count": "次数",
    "stream.last": "最近一次",
    "stream.meaning": "意思",
    "stream.none_closed": "还没有断开过",
    "stream.sum": "{n} 个连接",
    "stream.sum_behind": "{n} 个落后",
    "stream.state.SYNCED": "同步",
    "stream.state.LAGGING": "落后",
    "stream.state.COALESCING": "合并读取",
    "stream.state.SILENT": "没有声音",
    "stream.state.GONE": "已离开",
    "stream.ended.CLIENT_GONE": "客户端自己断开，或者网络断了",
    "stream.ended.SHUTDOWN": "网关正常停止，客户端会接着读",
    "stream.ended.MAX_AGE": "连接到了年限，客户端会接着读",
    "stream.ended.SLOW_CONSUMER": "读得太慢，被断开，可以从断点接着读",
    "stream.ended.EPOCH_MISMATCH": "数据库恢复过，要从头读",
    "stream.ended.REVISION_COMPACTED": "要读的已经清理，要从头读",
    "stream.ended.REVISION_FROM_FUTURE": "它要的编号还没有，可能连错了网关",
    "stream.ended.DATABASE_UNAVAILABLE": "数据库暂时连不上",
    "stream.ended.other": "见网关的日志",
  },
  en: {
    "stream.hint": "Who hears the warnings, how far behind, and why streams have ended. One that reads slowly does not hold up the others.",
    "stream.revision": "the log is at revision {revision}",
    "stream.name": "Subscriber",
    "stream.anonymous": "without a name, as an open page",
    "stream.state": "State",
    "stream.waiting": "Not read yet",
    "stream.sent": "Sent up to",
    "stream.cursor": "Read up to",
    "stream.since": "Connected",
    "stream.report": "Reported",
    "stream.coalesced": "Put together",
    "stream.elsewhere": "not at this gateway",
    "stream.none": "Nobody listens",
    "stream.none_text": "Once a host's screen, a group robot or a program of yours subscribes, it is listed here.",
    "stream.closed": "Streams that ended",
    "stream.closed_hint": "Since this gateway began.",
    "stream.reason": "Reason",
    "stream.count": "Count",
    "stream.last": "Last",
    "stream.meaning": "Which means",
    "stream.none_closed": "None has ended yet",
    "stream.sum": "{n} connected",
    "stream.sum_behind": "{n} behind",
    "stream.state.SYNCED": "in step",
    "stream.state.LAGGING": "behind",
    "stream.state.COALESCING": "reads the sum",
    "stream.state.SILENT": "silent",
    "stream.state.GONE": "gone",
    "stream.ended.CLIENT_GONE": "the client hung up, or the network did",
    "stream.ended.SHUTDOWN": "the gateway stopped; clients go on where they were",
    "stream.ended.MAX_AGE": "the connection was old; clients go on where they were",
    "stream.ended.SLOW_CONSUMER": "it read too slowly, and was cut off; it can go on where it was",
    "stream.ended.EPOCH_MISMATCH": "the database was restored; it begins anew",
    "stream.ended.REVISION_COMPACTED": "what it wants was removed; it begins anew",
    "stream.ended.REVISION_FROM_FUTURE": "it asks for what is not there yet; is this the right gateway?",
    "stream.ended.DATABASE_UNAVAILABLE": "the database could not be reached",
    "stream.ended.other": "see the gateway's log",
  },
};

async function mount(root) {
  const head = h("div", { class: "row" });
  const read = h("span", { class: "muted small num" });
  const readers = h("div", { class: "live" });
  const ended = h("div", {});
  fill(
    root,
    h("div", { class: "page-head" }, h("h1", {}, t("nav.streams")), head, read),
    h("p", { class: "muted stream-hint" }, t("stream.hint")),
    readers,
    h("h2", { class: "ended-title" }, t("stream.closed"), h("span", { class: "muted small" }, ` ${t("stream.closed_hint")}`)),
    ended,
  );
  loading(readers);
  let drawn = "";
  const draw = async () => {
    const found = await call("OperationsService/ListStreams");
    if (!readers.isConnected) return;
    say(read, t("stream.revision", { revision: number(found.revision) }));
    const connected = found.streams.filter((one) => one.open_time);
    const behind = connected.filter((one) => one.state !== "SYNCED").length;
    fill(
      head,
      h("span", { class: "chip" }, t("stream.sum", { n: number(connected.length) })),
      behind > 0 && h("span", { class: "chip warn" }, t("stream.sum_behind", { n: number(behind) })),
    );
    const now = JSON.stringify([found, Math.floor(Date.now() / 10_000)]);
    if (now === drawn) return;
    drawn = now;
    const ordered = [...found.streams].sort((one, other) => RANKS.indexOf(one.state) - RANKS.indexOf(other.state));
    fill(readers, table(readerColumns(), ordered, { empty: empty(t("stream.none"), t("stream.none_text")) }));
    fill(ended, table(endColumns(), found.closed, { empty: t("stream.none_closed") }));
  };
  await draw();
  return every(LOOK_MS, readers, draw);
}

function readerColumns() {
  const revision = (value) => (value ? number(value) : "–");
  return [
    { title: t("stream.name"), render: (one) => (one.subscriber_id ? h("strong", { class: "break" }, one.subscriber_id) : h("span", { class: "muted" }, t("stream.anonymous"))) },
    { title: t("stream.state"), render: (one) => h("span", { class: `chip ${KINDS[one.state] ?? ""}` }, has(`stream.state.${one.state}`) ? t(`stream.state.${one.state}`) : one.state) },
    { title: t("stream.waiting"), align: "right", render: (one) => h("span", { class: one.waiting > 0 ? "num problem" : "num" }, number(one.waiting)) },
    { title: t("stream.sent"), align: "right", render: (one) => revision(one.sent_revision) },
    { title: t("stream.cursor"), align: "right", render: (one) => revision(one.cursor_revision) },
    { title: t("stream.since"), render: (one) => (one.open_time ? h("span", { title: dateTime(one.open_time) }, age(one.open_time)) : h("span", { class: "muted" }, t("stream.elsewhere"))) },
    { title: t("stream.report"), render: (one) => (one.report_time ? h("span", { title: dateTime(one.report_time) }, age(one.report_time)) : "–") },
    { title: t("stream.coalesced"), align: "right", render: (one) => number(one.coalesced) },
  ];
}

function endColumns() {
  const meaning = (reason) => (has(`stream.ended.${reason}`) ? t(`stream.ended.${reason}`) : t("stream.ended.other"));
  return [
    { title: t("stream.meaning"), render: (one) => meaning(one.reason) },
    { title: t("stream.reason"), render: (one) => h("code", { class: "break" }, one.reason) },
    { title: t("stream.count"), align: "right", render: (one) => number(one.count) },
    { title: t("stream.last"), render: (one) => h("span", { title: dateTime(one.last_time) }, age(one.last_time)) },
  ];
}

export default { path: "/streams", nav: "streams", mount };
