// How a SKU's stock, its shelves and its pace went: two charts over one stretch of time.
import { call } from "./api.js";
import { lineChart } from "./chart.js";
import { fill, h, mark } from "./dom.js";
import { number, rate, tierName, time } from "./format.js";
import { t } from "./words.js";

const RANGES = [
  ["15m", 15 * 60],
  ["1h", 3_600],
  ["6h", 6 * 3_600],
  ["24h", 24 * 3_600],
  ["7d", 7 * 86_400],
];
const REFRESH_MS = 5_000;
const POINTS_MAX = 400;
// Each channel has one colour, for what it may sell and for what it was seen to show.
const CHANNEL_COLOURS = ["--urgent", "--ok", "--sold-out", "--trend", "--threshold"];
const TIER_COLOURS = { TREND: "--trend", THRESHOLD: "--threshold", URGENT: "--urgent", SOLD_OUT: "--sold-out" };
const TIER_OF = ["", "NORMAL", "TREND", "THRESHOLD", "URGENT", "SOLD_OUT"];

/** The card with the charts of a SKU, in `node`; returns what ends it. */
export function course(node, sku) {
  let seconds = RANGES[1][1];
  let drawn = null;
  let turn = 0;
  const stock = h("div", { class: "course-chart" });
  const pace = h("div", { class: "course-chart" });
  const none = h("p", { class: "muted", hidden: true }, t("course.none"));
  const buttons = RANGES.map(([name, length]) => h("button", { class: "button small", onclick: () => choose(length) }, name));
  fill(
    node,
    h("div", { class: "row apart" }, h("h2", {}, t("course.title")), h("div", { class: "row tight", role: "group", "aria-label": t("course.range") }, buttons)),
    none,
    stock,
    h("h3", { class: "muted course-pace" }, t("course.pace")),
    pace,
  );
  const choose = (length) => {
    seconds = length;
    buttons.forEach((button, place) => mark(button, "aria-pressed", String(RANGES[place][1] === length)));
    return draw();
  };
  const draw = async () => {
    turn += 1;
    const mine = turn;
    const since = new Date(Date.now() - seconds * 1_000).toISOString();
    const found = await call("OperationsService/GetSeries", { sku, since, points_max: POINTS_MAX });
    if (mine !== turn) return;
    const lines = linesOf(found.series);
    none.hidden = lines.length > 0;
    const names = lines.map((line) => line.label).join("\n");
    if (drawn?.names !== names) {
      drawn?.end();
      drawn = chartsOf(stock, pace, lines, names);
    }
    drawn.set(lines, found);
  };
  choose(seconds);
  const timer = setInterval(() => document.hidden || draw().catch(() => {}), REFRESH_MS);
  return () => {
    turn += 1;
    clearInterval(timer);
    drawn?.end();
  };
}

function chartsOf(stock, pace, lines, names) {
  const chart = lineChart(stock, { series: lines, height: 260, format: number });
  const bars = lineChart(pace, { series: [{ label: t("course.sales"), colour: "--accent", fill: true, stepped: true }], height: 110, format: rate });
  return {
    names,
    set(next, { series, as_of: asOf }) {
      const end = time(asOf) / 1_000;
      const marks = tierMarks(series.find((one) => one.name === "tier"), end);
      chart.set(aligned(next.map((line) => line.points), end), marks);
      const sales = series.find((one) => one.name === "sales_per_minute");
      bars.set(aligned([pointsOf(sales)], end), marks.map(({ at, until, colour }) => ({ at, until, colour })));
    },
    end() {
      chart.destroy();
      bars.destroy();
    },
  };
}

function linesOf(series) {
  const lines = [];
  const add = (name, channel, look) => {
    const found = series.find((one) => one.name === name && one.channel === channel);
    if (found && found.points.length > 0) lines.push({ ...look, stepped: true, points: pointsOf(found) });
  };
  add("available", "", { label: t("course.available"), colour: "--accent", fill: true });
  add("on_hand", "", { label: t("course.on_hand"), colour: "--muted", width: 1.5 });
  const channels = [...new Set(series.map((one) => one.channel).filter(Boolean))].sort();
  channels.forEach((channel, place) => {
    const colour = CHANNEL_COLOURS[place % CHANNEL_COLOURS.length];
    add("exposure", channel, { label: t("course.exposure", { channel }), colour, width: 1.5 });
    add("shown", channel, { label: t("course.shown", { channel }), colour, width: 1, dash: [3, 4] });
  });
  return lines;
}

function pointsOf(series) {
  return (series?.points || []).map((point) => [time(point.time) / 1_000, point.value]);
}

/** Times that all lines share, each line keeping a value until its next, up to `end`. */
function aligned(lines, end) {
  const times = [...new Set([...lines.flatMap((points) => points.map(([at]) => at)), end])].sort((one, other) => one - other);
  const values = lines.map((points) => {
    let place = -1;
    return times.map((at) => {
      while (place + 1 < points.length && points[place + 1][0] <= at) place += 1;
      return place < 0 ? null : points[place][1];
    });
  });
  return [times, ...values];
}

function tierMarks(series, end) {
  const points = pointsOf(series);
  return points
    .map(([at, tier], place) => ({ at, until: points[place + 1]?.[0] ?? end, name: tierName(TIER_OF[tier]) }))
    .filter(({ name }) => name in TIER_COLOURS)
    .map(({ at, until, name }) => ({ at, until, colour: TIER_COLOURS[name], label: t(`tier.${name}`) }));
}
