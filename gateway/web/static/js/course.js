// How a SKU's stock, its shelves and its pace went: two charts over one stretch of time.
import { call } from "./api.js";
import { lineChart } from "./chart.js";
import { fill, h, mark } from "./dom.js";
import { duration, number, rate, time } from "./format.js";
import { ledgerNow } from "./ledger_time.js";
import { t } from "./words.js";

const HOUR = 3_600;
const RANGES = [15 * 60, HOUR, 6 * HOUR, 24 * HOUR, 7 * 24 * HOUR];
// A long look back is dear, and changes little.
const REFRESH_MS_LEAST = 5_000;
const REFRESHES = 700;
const POINTS_MAX = 400;
// Each channel has one colour, for what it may sell and for what it was seen to show.
const CHANNEL_COLOURS = ["--urgent", "--ok", "--sold-out", "--trend", "--threshold"];
const TIER_COLOURS = { TREND: "--trend", THRESHOLD: "--threshold", URGENT: "--urgent", SOLD_OUT: "--sold-out" };
// Of the chart's width, what the word of a tier takes.
const LABEL_SHARE = 0.09;
const TIER_OF = ["", "NORMAL", "TREND", "THRESHOLD", "URGENT", "SOLD_OUT"];

/** The card with the charts of a SKU, in `node`; returns what ends it. */
export function course(node, sku) {
  let seconds = RANGES[1];
  let drawn = null;
  let turn = 0;
  let drawnAt = 0;
  const stock = h("div", { class: "course-chart" });
  const pace = h("div", { class: "course-chart" });
  const none = h("p", { class: "muted", hidden: true }, t("course.none"));
  const buttons = RANGES.map((length) => h("button", { class: "button small", onclick: () => choose(length) }, rangeLabel(length)));
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
    buttons.forEach((button, place) => mark(button, "aria-pressed", String(RANGES[place] === length)));
    look();
  };
  const draw = async () => {
    turn += 1;
    const mine = turn;
    drawnAt = Infinity;
    const since = new Date(ledgerNow() - seconds * 1_000).toISOString();
    const found = await call("OperationsService/GetSeries", { sku, since, points_max: POINTS_MAX });
    if (mine !== turn) return;
    drawnAt = Date.now();
    const lines = linesOf(found.series);
    none.hidden = lines.length > 0;
    const names = lines.map((line) => line.label).join("\n");
    if (drawn?.names !== names) {
      drawn?.end();
      drawn = chartsOf(stock, pace, lines, names);
    }
    drawn.set(lines, found);
  };
  // What cannot be read now is asked for again when it is due.
  const look = () =>
    draw().catch((error) => {
      drawnAt = Date.now();
      if (!error.reason) throw error;
    });
  choose(seconds);
  const isDue = () => !document.hidden && Date.now() - drawnAt > Math.max(REFRESH_MS_LEAST, (seconds * 1_000) / REFRESHES);
  const timer = setInterval(() => isDue() && look(), REFRESH_MS_LEAST / 5);
  return () => {
    turn += 1;
    clearInterval(timer);
    drawn?.end();
  };
}

/** `15 分`, `1 小时`, `7 天`. */
function rangeLabel(seconds) {
  return seconds === HOUR ? t("unit.hour", { n: 1 }) : duration(seconds * 1_000);
}

function chartsOf(stock, pace, lines, names) {
  const chart = lineChart(stock, { series: lines, height: 260, format: number });
  const bars = lineChart(pace, { series: [{ label: t("course.sales"), colour: "--accent", fill: true, stepped: true }], height: 110, format: rate });
  return {
    names,
    set(next, { series, as_of: asOf }) {
      const end = time(asOf) / 1_000;
      // Both begin where the first is known, so that one stands below the other.
      const begin = Math.min(end, ...next.map((line) => line.points[0][0]));
      const marks = tierMarks(series.find((one) => one.name === "tier"), begin, end);
      chart.set(aligned(next.map((line) => line.points), begin, end), marks);
      const sales = series.find((one) => one.name === "sales_per_minute");
      bars.set(aligned([pointsOf(sales)], begin, end), marks.map(({ at, until, colour }) => ({ at, until, colour })));
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

/** Times from `begin` to `end` that all lines share, each line keeping a value until its next. */
function aligned(lines, begin, end) {
  const changes = lines.flatMap((points) => points.map(([at]) => at)).filter((at) => at > begin);
  const times = [...new Set([begin, ...changes, end])].sort((one, other) => one - other);
  const values = lines.map((points) => {
    let place = -1;
    return times.map((at) => {
      while (place + 1 < points.length && points[place + 1][0] <= at) place += 1;
      return place < 0 ? null : points[place][1];
    });
  });
  return [times, ...values];
}

/** A band for each tier above normal; a label only where there is room for it. */
function tierMarks(series, begin, end) {
  const points = pointsOf(series);
  let free = -Infinity;
  return points
    .map(([at, tier], place) => ({ at: Math.max(at, begin), until: points[place + 1]?.[0] ?? end, name: TIER_OF[tier] }))
    .filter(({ until, name }) => until > begin && name in TIER_COLOURS)
    .map(({ at, until, name }) => {
      const hasRoom = at >= free && at < end - LABEL_SHARE * (end - begin);
      if (hasRoom) free = at + LABEL_SHARE * (end - begin);
      return { at, until, colour: TIER_COLOURS[name], label: hasRoom ? t(`tier.${name}`) : "" };
    });
}
