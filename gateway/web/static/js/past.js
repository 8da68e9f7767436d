// Everything that happened to a SKU: a line of time with filters, newest first, kept up while somebody looks.
import { call } from "./api.js";
import { empty } from "./dialog.js";
import { fill, h, mark } from "./dom.js";
import { clock, dateTime, time } from "./format.js";
import { live } from "./live.js";
import { pick, t } from "./words.js";

const KINDS = ["MOVEMENT", "ORDER", "PUSH", "ATTEMPT", "READING", "EVENT", "PERSON", "SHORTFALL"];
const PAGE_SIZE = 60;
const FRESH_MAX = 200;
const ROWS_MAX = 1_000;
// What was recorded at one moment may become visible later.
const LATE_MS = 10_000;
const LOOK_MS = 2_000;

/** The line of a SKU, in `node`; `query` says what of it, `go` changes that. Returns what ends it. */
export function past(node, sku, { query, go }) {
  const wanted = readWanted(query);
  const list = h("ol", { class: "past" });
  const under = h("div", { class: "row" });
  fill(
    node,
    h("div", { class: "row apart" }, h("h2", {}, t("past.title")), drillsToggle(wanted, sku, go)),
    h("div", { class: "row past-kinds", role: "group", "aria-label": t("past.kinds") }, kindButton("", wanted, sku, go), KINDS.map((kind) => kindButton(kind, wanted, sku, go))),
    wanted.until && h("p", { class: "row" }, h("span", { class: "chip info" }, t("past.until", { time: dateTime(wanted.until) })), h("a", { href: address(sku, { ...wanted, until: "", row: "" }) }, t("past.newest"))),
    list,
    under,
  );
  const known = new Set();
  const request = requestOf(sku, wanted);
  let isGone = false;
  let looked = 0;
  let newest = null;

  const first = call("OperationsService/ListTimeline", { ...request, page_size: PAGE_SIZE }).then((page) => {
    if (isGone) return;
    const rows = page.entries.map((entry) => take(entry));
    if (rows.length === 0) fill(list, h("li", { class: "past-none" }, empty(t("past.empty"), t("past.empty_text"))));
    else fill(list, rows);
    separate(list);
    olderButton(page.next_page_token);
    list.querySelector(".past-found")?.scrollIntoView({ block: "center" });
  });
  const take = (entry) => {
    known.add(keyOf(entry));
    newest = Math.max(newest ?? 0, time(entry.record_time));
    return line(entry, sku, wanted);
  };
  const olderButton = (token) => {
    if (!token) return fill(under);
    const button = h("button", { class: "button" }, t("past.older"));
    button.addEventListener("click", async () => {
      button.disabled = true;
      const page = await call("OperationsService/ListTimeline", { ...request, page_size: PAGE_SIZE, page_token: token });
      list.append(...page.entries.map((entry) => take(entry)));
      separate(list);
      olderButton(page.next_page_token);
    });
    return fill(under, button);
  };
  const look = async () => {
    if (isGone || document.hidden || wanted.until || newest === null || Date.now() - looked < LOOK_MS) return;
    looked = Date.now();
    const since = new Date(newest - LATE_MS).toISOString();
    const page = await call("OperationsService/ListTimeline", { ...request, since, page_size: FRESH_MAX });
    const fresh = page.entries.filter((entry) => !known.has(keyOf(entry)));
    if (isGone || fresh.length === 0) return;
    list.querySelector(".past-none")?.remove();
    insert(list, fresh.map((entry) => take(entry)));
    separate(list);
  };
  const stop = live.on("tick", () => look().catch(() => {}));
  first.catch((error) => isGone || fill(list, h("li", { class: "problem" }, error.message)));
  return () => {
    isGone = true;
    stop();
  };
}

/** Put new lines where their times belong: most come on top. */
function insert(list, lines) {
  for (const row of lines.reverse()) {
    const below = [...list.querySelectorAll(".past-line")].slice(0, FRESH_MAX).find((other) => micros(other.dataset.at) <= micros(row.dataset.at));
    list.insertBefore(row, below || null);
  }
  const all = list.querySelectorAll(".past-line");
  for (let place = ROWS_MAX; place < all.length; place += 1) all[place].remove();
}

/** A heading wherever another day begins. */
function separate(list) {
  for (const old of list.querySelectorAll(".past-day")) old.remove();
  let day = new Date().toDateString();
  for (const row of list.querySelectorAll(".past-line")) {
    const its = new Date(row.dataset.at).toDateString();
    if (its !== day) list.insertBefore(h("li", { class: "past-day muted small" }, dateTime(row.dataset.at).slice(0, -8).trim()), row);
    day = its;
  }
}

function line(entry, sku, wanted) {
  const kind = entry.kind.replace("TIMELINE_KIND_", "");
  const isFound = `${entry.row.kind}/${entry.row.id}` === wanted.row;
  return h(
    "li",
    { class: ["past-line", isFound && "past-found"], dataset: { at: entry.record_time, kind } },
    h("a", { class: "num muted past-time", href: permalink(sku, entry), title: `${dateTime(entry.record_time)} · ${t("past.link")}` }, clock(entry.record_time)),
    h("span", { class: "chip past-kind", dataset: { kind } }, t(`past.${kind}`)),
    h("span", { class: "break past-text" }, pick(entry, "text")),
    h(
      "span",
      { class: "past-more small muted" },
      entry.actor && kind !== "PERSON" && h("span", { class: "break" }, entry.actor),
      entry.audit && h("a", { href: `/audit?entry=${entry.audit.audit_id}` }, t("past.audit")),
      entry.trace_id && h("a", { href: `/trace/${entry.trace_id}` }, t("past.trace")),
    ),
  );
}

function kindButton(kind, wanted, sku, go) {
  const isOn = kind ? wanted.kinds.includes(kind) : wanted.kinds.length === 0;
  const kinds = !kind ? [] : isOn ? wanted.kinds.filter((other) => other !== kind) : [...wanted.kinds, kind];
  const to = address(sku, { ...wanted, kinds });
  return mark(h("button", { class: "button small", onclick: () => go(to, { replace: true }) }, t(kind ? `past.${kind}` : "past.all")), "aria-pressed", String(isOn));
}

function drillsToggle(wanted, sku, go) {
  const to = address(sku, { ...wanted, drills: !wanted.drills });
  return h("label", { class: "row tight muted small" }, h("input", { type: "checkbox", checked: wanted.drills, onchange: () => go(to, { replace: true }) }), t("past.drills"));
}

function readWanted(query) {
  const kinds = (query.get("kinds") || "").toUpperCase().split(",").filter((kind) => KINDS.includes(kind));
  const until = query.get("until") || "";
  return { kinds, until: time(until) === null ? "" : until, row: query.get("row") || "", drills: query.get("drills") === "1" };
}

function requestOf(sku, wanted) {
  const request = { sku, kinds: wanted.kinds.map((kind) => `TIMELINE_KIND_${kind}`), include_drills: wanted.drills };
  return wanted.until ? { ...request, until: stamp(micros(wanted.until)) } : request;
}

function address(sku, { kinds, until, row, drills }) {
  const said = [
    ["kinds", kinds.join(",").toLowerCase()],
    ["until", until],
    ["row", row],
    ["drills", drills ? "1" : ""],
  ].filter(([, value]) => value);
  const path = `/sku/${encodeURIComponent(sku)}`;
  return said.length > 0 ? `${path}?${new URLSearchParams(said)}` : path;
}

/** The line with this entry on top, whatever comes later. */
function permalink(sku, entry) {
  const until = stamp(micros(entry.record_time) + 1);
  return address(sku, { kinds: [], until, row: `${entry.row.kind}/${entry.row.id}`, drills: Boolean(entry.event?.drill_id) });
}

function keyOf(entry) {
  return `${entry.row.kind} ${entry.row.id} ${entry.record_time}`;
}

/** Microseconds since 1970: the ledger's times are as fine, and a Date is not. */
function micros(text) {
  const [, fraction = ""] = /\.(\d+)/.exec(text) || [];
  return Math.floor(time(text) / 1_000) * 1_000_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

function stamp(at) {
  const second = new Date(Math.floor(at / 1_000_000) * 1_000).toISOString().slice(0, 19);
  return `${second}.${String(at % 1_000_000).padStart(6, "0")}Z`;
}
