// How one SKU went, as a picture: stock in front of its tiers, what each channel could sell, pace, and who did what.
import { h, s } from "./dom.js";
import { number, tierShape, time, when } from "./format.js";
import { t } from "./words.js";

const LEFT = 46;
const RIGHT = 8;
const STOCK = { top: 22, height: 128 };
const PACE = { top: 168, height: 40 };
const HEIGHT = 230;
const CHANNELS = 4;
const MARKS_APART = 17;
const MINUTE = 60_000;
const STEPS = [1e3, 2e3, 5e3, 1e4, 15e3, 3e4, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE, 240 * MINUTE, 480 * MINUTE, 1440 * MINUTE];
const ROUND = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
const NORMAL = 1;
// By the number that a series says.
const TIERS = ["", "NORMAL", "TREND", "THRESHOLD", "URGENT", "SOLD_OUT"];

/** A figure with the picture and its legend; it is drawn anew when its width changes. `end()` stops that. */
export function storyChart(review, sku) {
  const place = h("div", { class: "story" });
  const draw = () => {
    const width = Math.max(280, place.clientWidth || 640);
    if (place.dataset.width === String(width)) return;
    place.dataset.width = width;
    place.replaceChildren(picture(review, sku, width));
  };
  const resized = new ResizeObserver(draw);
  resized.observe(place);
  return { node: h("figure", {}, legend(sku), place), end: () => resized.disconnect() };
}

/** The points of a series by its name: `[[milliseconds, value], ...]`. */
export function pointsOf(series, name) {
  const found = series.find((one) => one.name === name);
  return found ? points(found) : [];
}

function points(series) {
  return series.points.map((point) => [time(point.time), point.value]);
}

function legend(sku) {
  const tiers = [...new Set(pointsOf(sku.series, "tier").map(([, tier]) => tier))].filter((tier) => tier > NORMAL).sort();
  const channels = sku.series.filter((one) => one.name === "exposure").slice(0, CHANNELS);
  return h(
    "div",
    { class: "story-legend small muted" },
    h("span", { class: "line stock" }, t("review.available")),
    channels.map((one, place) => h("span", { class: `line of-channel c${place}` }, t("review.exposure", { channel: one.channel }))),
    h("span", { class: "line pace" }, t("review.pace")),
    tiers.map((tier) => h("span", { class: "band", dataset: { tier: TIERS[tier] } }, tierShape(TIERS[tier]), t(`tier.${TIERS[tier]}`))),
  );
}

function picture(review, sku, width) {
  const begin = time(review.begin_time);
  const end = Math.max(time(review.end_time), begin + 1000);
  const x = (at) => LEFT + ((Math.min(Math.max(at, begin), end) - begin) / (end - begin)) * (width - LEFT - RIGHT);
  const stock = pointsOf(sku.series, "available");
  const pace = pointsOf(sku.series, "sales_per_minute");
  const shown = sku.series.filter((one) => one.name === "exposure").slice(0, CHANNELS).map(points);
  const units = scale([...stock, ...shown.flat()], STOCK);
  const rates = scale(pace, PACE);
  const title = t("review.picture", { sku: sku.sku, sold: number(sku.sold), unsold: number(sku.unsold) });
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": title },
    bands(pointsOf(sku.series, "tier"), end, x),
    levels(units, 2, width),
    levels(rates, 1, width),
    uprights(begin, end, x, width),
    stock.length > 0 && s("path", { class: "area", d: `${steps(stock, end, x, units.y)}V${units.y(0)}H${x(begin)}Z` }),
    shown.map((of, place) => s("path", { class: `of-channel c${place}`, d: steps(of, end, x, units.y) })),
    s("path", { class: "stock", d: steps(stock, end, x, units.y) }),
    s("path", { class: "pace", d: pace.map(([at, value], place) => `${place ? "L" : "M"}${x(at).toFixed(1)} ${rates.y(value)}`).join("") }),
    came(stock, x),
    people(review, sku, x),
  );
}

function scale(of, { top, height }) {
  const high = of.reduce((most, [, value]) => Math.max(most, value), 0);
  const power = 10 ** Math.max(0, String(Math.floor(high)).length - 1);
  const most = high <= 1 ? 1 : ROUND.map((each) => each * power).find((each) => each >= high);
  const y = (value) => Number((top + height * (1 - Math.min(Math.max(value, 0), most) / most)).toFixed(1));
  return { most, y };
}

function steps(of, end, x, y) {
  if (of.length === 0) return "";
  const [first, ...rest] = of;
  return `M${x(first[0]).toFixed(1)} ${y(first[1])}${rest.map(([at, value]) => `H${x(at).toFixed(1)}V${y(value)}`).join("")}H${x(end).toFixed(1)}`;
}

function levels({ most, y }, count, width) {
  return Array.from({ length: count + 1 }, (_, place) => (most * place) / count).map((value) => [
    s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
    s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
  ]);
}

function uprights(begin, end, x, width) {
  const step = STEPS.find((each) => (end - begin) / each <= Math.max(3, width / 90)) || STEPS[STEPS.length - 1];
  const offset = new Date(begin).getTimezoneOffset() * MINUTE;
  const lines = [];
  for (let at = Math.ceil((begin - offset) / step) * step + offset; at <= end; at += step) {
    const label = step < MINUTE ? new Date(at).toTimeString().slice(0, 8) : new Date(at).toTimeString().slice(0, 5);
    const anchor = x(at) > width - 30 ? "end" : "middle";
    lines.push(
      s("line", { class: "grid", x1: x(at), x2: x(at), y1: STOCK.top, y2: PACE.top + PACE.height }),
      s("text", { x: anchor === "end" ? width - 2 : x(at), y: HEIGHT - 6, "text-anchor": anchor }, label),
    );
  }
  return lines;
}

function bands(tiers, end, x) {
  return tiers
    .map(([at, tier], place) => [at, tier, place + 1 < tiers.length ? tiers[place + 1][0] : end])
    .filter(([, tier]) => tier > NORMAL)
    .map(([at, tier, until]) =>
      s(
        "rect",
        { class: "band", "data-tier": TIERS[tier], x: x(at), width: Math.max(1, x(until) - x(at)), y: STOCK.top, height: STOCK.height },
        s("title", {}, `${t(`tier.${TIERS[tier]}`)} · ${when(at)}`),
      ),
    );
}

function came(stock, x) {
  const rises = stock.slice(1).map(([at, value], place) => [at, value - stock[place][1]]);
  const most = Math.max(0, ...rises.map(([, rise]) => rise));
  return rises
    .filter(([, rise]) => rise >= Math.max(3, most / 2))
    .map(([at, rise]) => s("text", { class: "came", x: x(at) + 3, y: STOCK.top + 11 }, `+${number(rise)}`));
}

/** What people did about it, by its number in the list; what lies close together has one mark. */
function people(review, sku, x) {
  const groups = [];
  review.happenings.forEach((entry, place) => {
    if (entry.event?.sku !== sku.sku || !entry.actor) return;
    const at = x(time(entry.record_time));
    const last = groups[groups.length - 1];
    if (last && at - last.x < MARKS_APART) last.to = place + 1;
    else groups.push({ x: at, from: place + 1, to: place + 1 });
  });
  return groups.map(({ x: at, from, to }) => {
    const label = from === to ? String(from) : `${from}–${to}`;
    const width = 9 + 6.5 * label.length;
    return s(
      "g",
      { class: "person" },
      s("line", { x1: at, x2: at, y1: 18, y2: STOCK.top + STOCK.height }),
      s("rect", { x: at - width / 2, y: 3, width, height: 15, rx: 7.5 }),
      s("text", { x: at, y: 14.5, "text-anchor": "middle" }, label),
    );
  });
}

