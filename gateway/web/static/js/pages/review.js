// Review: sessions, and what happened in one of them, what it cost, what to change.
import { act, ApiError, call } from "../api.js";
import { empty, loading, notify } from "../dialog.js";
import { fill, h } from "../dom.js";
import { clock, duration, number, percent, rate, seconds, tierChip, tierName, when } from "../format.js";
import { errorText } from "../session.js";
import { storyChart } from "../story_chart.js";
import { more as addRows, table } from "../table.js";
import { lang, pick, t } from "../words.js";
import { words } from "./review_words.js";

export { words };

const SESSIONS = 50;
const PICTURES = 6;
const THOUSAND = 1000;
const MINUTE_MS = 60_000;

// ---- the list

async function mountList(root, { go }) {
  const place = h("div", {});
  fill(root, h("div", { class: "page-head" }, h("h1", {}, t("nav.review"))), place);
  loading(place);
  let answer = await call("LiveService/ListSessions", { page_size: SESSIONS });
  const columns = [
    { title: t("review.room"), render: (one) => h("a", { href: `/review/${one.session_id}` }, one.room) },
    { title: t("review.session"), render: (one) => number(one.session_id), align: "right" },
    { title: t("review.host"), render: (one) => one.host },
    { title: t("review.channels"), render: (one) => one.channels.join(" · ") },
    { title: t("review.skus"), render: (one) => number(one.skus.length), align: "right" },
    { title: t("review.opened"), render: (one) => when(one.open_time), align: "right" },
    { title: t("review.closed"), render: (one) => (one.close_time ? when(one.close_time) : h("span", { class: "chip good" }, t("review.on"))), align: "right" },
  ];
  const options = { empty: empty(t("review.empty"), t("review.empty_text")), onrow: (one) => go(`/review/${one.session_id}`) };
  const shown = table(columns, answer.sessions, options);
  const next = h("button", { class: "button", hidden: !answer.next_page_token }, t("more"));
  next.addEventListener("click", async () => {
    answer = await call("LiveService/ListSessions", { page_size: SESSIONS, page_token: answer.next_page_token });
    addRows(shown, columns, answer.sessions, options);
    next.hidden = !answer.next_page_token;
  });
  fill(place, h("div", { class: "stack" }, shown, h("div", { class: "row" }, next)));
}

export default { path: "/review", nav: "review", mount: mountList };

// ---- one of them

async function mount(root, { params }) {
  loading(root);
  const { review, settings } = await call("LiveService/GetReview", { session_id: Number.parseInt(params.session, 10) || 0 });
  const ends = [];
  fill(
    root,
    head(review),
    h(
      "div",
      { class: "stack review" },
      review.compact_revision > 0 && h("p", { class: "problem" }, t("review.compacted")),
      headline(review),
      part(t("review.advice"), advice(review, settings)),
      pictures(review, ends),
      part(t("review.skus"), skus(review)),
      part(t("review.warnings"), warnings(review)),
      part(t("review.policies"), h("p", { class: "muted small" }, t("review.policies_of")), policies(review)),
      part(t("review.sync"), channels(review)),
      part(t("review.happened"), happened(review)),
      h("p", { class: "muted small" }, t("review.made_from", { revision: number(review.revision), alert: number(review.alert_revision) })),
    ),
  );
  return () => ends.forEach((end) => end());
}

export const one = { path: "/review/:session", nav: "review", mount };

function head({ session, begin_time, end_time }) {
  const to = `/review/${session.session_id}/report`;
  const over = session.close_time ? clock(end_time) : t("review.on");
  return h(
    "div",
    { class: "page-head review-head" },
    h(
      "div",
      { class: "names" },
      h("a", { href: "/review", class: "small" }, `‹ ${t("review.all")}`),
      h("h1", { class: "break" }, session.room),
      h("p", { class: "muted small" }, [`${when(begin_time)} – ${over}`, `${t("review.session")} ${session.session_id}`, session.host, session.channels.join(" · ")].filter(Boolean).join("　")),
    ),
    h(
      "div",
      { class: "row" },
      h("a", { class: "button primary", href: `${to}.html?lang=${lang()}`, download: "" }, t("review.print")),
      h("a", { class: "button", href: `${to}.zip`, download: "" }, t("review.zip")),
      h("a", { class: "button", href: `${to}.json`, download: "" }, t("review.json")),
      h("a", { class: "button", href: `/drills?session=${session.session_id}` }, t("review.rehearse")),
    ),
  );
}

function part(title, ...content) {
  return h("section", { class: "stack part" }, h("h2", {}, title), content);
}

function headline(review) {
  const sum = (name) => review.skus.reduce((total, sku) => total + sku[name], 0);
  const out = review.skus.filter((sku) => sku.stock_out_time);
  const outFor = out.reduce((total, sku) => total + seconds(sku.out_for), 0) * THOUSAND;
  const lost = Math.round(sum("lost"));
  const oversold = sum("oversold");
  const [real] = review.policies;
  const slowest = review.channels.filter((each) => each.lag_p99).sort((a, b) => seconds(b.lag_p99) - seconds(a.lag_p99))[0];
  const figures = [
    [t("review.sold"), number(sum("sold")), t("review.sold_of", { units: number(sum("begin_available") + sum("received")) })],
    [t("review.unsold"), number(sum("unsold")), t("review.unsold_of", { skus: number(review.skus.length) })],
    [t("review.lost"), number(lost), out.length ? t("review.lost_of", { skus: number(out.length), time: duration(outFor) }) : t("review.lost_none"), lost ? "bad" : "good"],
    [t("review.oversold"), number(oversold), t(oversold ? "review.oversold_some" : "review.oversold_none"), oversold ? "bad" : "good"],
    caught(real),
    slowest
      ? [t("review.lag"), duration(seconds(slowest.lag_p99) * THOUSAND), t("review.lag_of", { channel: slowest.channel })]
      : [t("review.lag"), "–", t("review.lag_none")],
  ];
  return h(
    "div",
    { class: "figures" },
    figures.map(([label, value, note, mood]) =>
      h("div", { class: ["card figure", mood] }, h("div", { class: "muted small" }, label), h("b", {}, value), h("div", { class: "muted small" }, note)),
    ),
  );
}

function caught(real) {
  if (!real || !real.stock_outs) return [t("review.caught"), "–", t("review.caught_none"), "good"];
  const note = real.minutes_before === null ? "" : t("review.caught_of", { time: duration(real.minutes_before * MINUTE_MS) });
  return [t("review.caught"), `${real.caught} / ${real.stock_outs}`, note, real.caught === real.stock_outs ? "good" : "bad"];
}

function advice(review, settings) {
  if (review.advice.length === 0) return h("p", { class: "muted" }, t("review.advice_none"));
  const now = new Map(settings.map((each) => [`${each.kind} ${each.sku}`, each.value]));
  return h(
    "ul",
    { class: "advice" },
    review.advice.map((each) =>
      h(
        "li",
        {},
        h("span", { class: "kind" }, t(`kind.${each.kind}`)),
        h("span", { class: "break" }, pick(each, "text")),
        each.change && acceptance(review.session.session_id, each, now.get(`${each.kind} ${each.sku}`)),
      ),
    ),
  );
}

/** The button that sets what is advised; what is so already, or has become something else, is said instead. */
function acceptance(sessionId, { kind, sku, change }, value) {
  const place = h("span", { class: "accept" });
  const name = change.setting.replace("ADVICE_SETTING_", "");
  const said = (of) => t(`setting.value.${name}`, { n: name === "SERVICE_LEVEL" ? percent(of, 1) : number(of) });
  const show = (is) => {
    if (is === change.after) return fill(place, h("span", { class: "chip good" }, t("review.accepted", { value: said(is) })));
    if (is === undefined) return fill(place);
    if (is !== change.before) return fill(place, h("span", { class: "chip" }, t("review.set_otherwise", { value: said(is) })));
    const title = t("review.accept_title", { setting: t(`setting.${name}`), before: said(change.before), after: said(change.after) });
    const button = h("button", { class: "button small", title, "aria-label": `${sku}: ${title}` }, t("review.accept", { value: said(change.after) }));
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await act("LiveService/AcceptAdvice", { session_id: sessionId, kind, sku });
        show(change.after);
        notify(`${sku}: ${title}`, "ok");
      } catch (error) {
        button.disabled = false;
        if (!(error instanceof ApiError)) throw error;
        if (error.reason !== "SIGN_IN") notify(errorText(error), "problem");
      }
    });
    return fill(place, button);
  };
  show(value);
  return place;
}

function pictures(review, ends) {
  const worst = interesting(review);
  if (worst.length === 0) return null;
  const place = h("div", { class: "pictures" });
  const add = (some) =>
    some.forEach((sku) => {
      const { node, end } = storyChart(review, sku);
      ends.push(end);
      const facts = [sku.title === sku.sku ? "" : sku.sku, t("review.picture", { sku: "", sold: number(sku.sold), unsold: number(sku.unsold) }).replace(/^[：:]\s*/, "")];
      place.append(
        h(
          "div",
          { class: "card" },
          h("h3", { class: "break" }, h("a", { href: `/sku/${encodeURIComponent(sku.sku)}` }, sku.title || sku.sku), " ", h("small", { class: "muted" }, facts.filter(Boolean).join(" · "))),
          node,
        ),
      );
    });
  add(worst.slice(0, PICTURES));
  const rest = worst.slice(PICTURES);
  const button = h("button", { class: "button", hidden: rest.length === 0 }, t("review.more", { count: number(rest.length) }));
  button.addEventListener("click", () => {
    button.hidden = true;
    add(rest);
  });
  return part(t("review.pictures"), place, h("div", { class: "row" }, button));
}

/** What was lost and oversold first, then what was warned of, then what sold most. */
function interesting(review) {
  const warned = new Map(review.warnings.map((each) => [each.sku, 1]));
  const worth = (sku) => [sku.lost + 100 * sku.oversold, warned.get(sku.sku) || 0, sku.sold];
  return review.skus
    .map((sku) => [worth(sku), sku])
    .filter(([of]) => of.some(Boolean))
    .sort(([a], [b]) => b[0] - a[0] || b[1] - a[1] || b[2] - a[2])
    .map(([, sku]) => sku);
}

// ---- tables

function skus(review) {
  return table(
    [
      { title: t("review.sku"), render: (sku) => h("div", {}, h("a", { href: `/sku/${encodeURIComponent(sku.sku)}` }, sku.sku), sku.title !== sku.sku && h("div", { class: "muted small break" }, sku.title)) },
      { title: t("review.begin"), render: (sku) => number(sku.begin_available), align: "right" },
      { title: t("review.received"), render: (sku) => some(sku.received), align: "right" },
      { title: t("review.adjusted"), render: (sku) => some(sku.adjusted), align: "right" },
      { title: t("review.sold"), render: (sku) => number(sku.sold), align: "right" },
      { title: t("review.unsold"), render: (sku) => number(sku.unsold), align: "right" },
      { title: t("review.stock_out"), render: (sku) => (sku.stock_out_time ? clock(sku.stock_out_time) : ""), align: "right" },
      { title: t("review.out_for"), render: (sku) => spanOf(sku.out_for, { zero: "" }), align: "right" },
      { title: t("review.lost"), render: (sku) => bad(Math.round(sku.lost)), align: "right" },
      { title: t("review.oversold"), render: (sku) => bad(sku.oversold), align: "right" },
      { title: t("review.peak"), render: (sku) => (sku.peak_rate ? rate(sku.peak_rate) : ""), align: "right" },
    ],
    review.skus,
  );
}

function warnings(review) {
  return table(
    [
      { title: t("review.time"), render: (each) => clock(each.time) },
      { title: t("review.sku"), render: (each) => h("a", { href: `/sku/${encodeURIComponent(each.sku)}` }, each.sku) },
      { title: t("review.tier"), render: (each) => h("span", { class: "row tight" }, tierChip(tierName(each.tier)), each.needless && h("span", { class: "chip" }, t("review.needless"))) },
      { title: t("review.before"), render: (each) => spanOf(each.before_stock_out), align: "right" },
      { title: t("review.lead_times"), render: (each) => (each.lead_times === null ? "" : each.lead_times.toFixed(1)), align: "right" },
      { title: t("review.acknowledged"), render: (each) => (each.acknowledge_after ? `${each.acknowledged_by} · ${spanOf(each.acknowledge_after)}` : h("span", { class: "muted" }, t("review.nobody"))) },
      { title: t("review.acted"), render: (each) => (each.act_after ? `${pick(each, "act")} · ${spanOf(each.act_after)}` : "") },
      { title: t("review.cost"), render: (each) => bad(Math.round(each.late_cost_units)), align: "right" },
    ],
    review.warnings,
    { empty: h("p", { class: "muted" }, t("review.warnings_none")) },
  );
}

function policies(review) {
  const [real] = review.policies;
  return table(
    [
      { title: t("review.policy"), render: (each) => (each === real ? h("strong", {}, pick(each, "title")) : pick(each, "title")) },
      { title: t("review.warned"), render: (each) => number(each.warnings), align: "right" },
      { title: t("review.needless_count"), render: (each) => number(each.needless), align: "right" },
      { title: t("review.caught_count"), render: (each) => `${each.caught} / ${each.stock_outs}`, align: "right" },
      { title: t("review.minutes_before"), render: (each) => (each.minutes_before === null ? "–" : duration(each.minutes_before * MINUTE_MS)), align: "right" },
    ],
    review.policies,
  );
}

function channels(review) {
  return table(
    [
      { title: t("review.channel"), render: (each) => each.channel },
      { title: t("review.sold"), render: (each) => number(each.sold), align: "right" },
      { title: t("review.pushes"), render: (each) => number(each.pushes), align: "right" },
      { title: t("review.half"), render: (each) => spanOf(each.lag_p50), align: "right" },
      { title: t("review.most"), render: (each) => spanOf(each.lag_p99), align: "right" },
      { title: t("review.slowest"), render: (each) => spanOf(each.lag_max), align: "right" },
      { title: t("review.failed"), render: (each) => bad(each.attempts_failed), align: "right" },
      { title: t("review.drifts"), render: (each) => bad(each.drifts), align: "right" },
    ],
    review.channels,
  );
}

function happened(review) {
  if (review.happenings.length === 0) return h("p", { class: "muted" }, t("review.happened_none"));
  return h(
    "ol",
    { class: "happened card" },
    review.happenings.map((each, place) =>
      h("li", {}, h("span", { class: "muted num" }, place + 1), h("span", { class: "muted num" }, clock(each.record_time)), h("span", { class: "break" }, pick(each, "text")), h("span", { class: "muted who-did" }, each.actor)),
    ),
  );
}

// ---- cells

function some(value) {
  return value ? number(value) : "";
}

function bad(value) {
  return value ? h("strong", { class: "problem" }, number(value)) : "";
}

function spanOf(value, { zero } = {}) {
  const of = seconds(value);
  if (of === null) return "";
  return of === 0 && zero !== undefined ? zero : duration(of * THOUSAND);
}
