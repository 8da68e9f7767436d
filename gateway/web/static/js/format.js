// Numbers, times and tiers as people read them.
import { h, s } from "./dom.js";
import { ledgerNow } from "./ledger_time.js";
import { lang, t } from "./words.js";

const DAY = 86_400_000;
// What a tier is called in messages, without its prefix; most pressing last.
export const TIERS = ["NORMAL", "TREND", "THRESHOLD", "URGENT", "SOLD_OUT"];

const formats = new Map();

function locale() {
  return lang() === "en" ? "en-GB" : "zh-CN";
}

function format(Kind, options) {
  const key = `${Kind.name} ${locale()} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Kind(locale(), options));
  return formats.get(key);
}

/** `1,234`; a dash for what is not known. */
export function number(value) {
  return value === null || value === undefined ? "–" : format(Intl.NumberFormat, {}).format(value);
}

/** `+12`, `-3`. */
export function change(value) {
  return format(Intl.NumberFormat, { signDisplay: "exceptZero" }).format(value);
}

/** Units per minute: `0.4`, `12`, `1,340`. */
export function rate(value) {
  return format(Intl.NumberFormat, { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

/** `85 %`. */
export function percent(value, digits = 0) {
  return format(Intl.NumberFormat, { style: "percent", maximumFractionDigits: digits }).format(value);
}

/** Milliseconds since 1970 of a message's time; null if it has none. */
export function time(value) {
  if (value === null || value === undefined || value === "") return null;
  const at = typeof value === "number" ? value : Date.parse(value);
  return Number.isNaN(at) ? null : at;
}

/** Seconds of a message's duration, `"1.5s"`; null if it has none. */
export function seconds(value) {
  return value === null || value === undefined ? null : Number.parseFloat(value);
}

/** `14:03:20`. */
export function clock(value) {
  const at = time(value);
  return at === null ? "–" : format(Intl.DateTimeFormat, { timeStyle: "medium", hourCycle: "h23" }).format(at);
}

/** `14:03` today, `11/22 14:03` on another day. */
export function when(value) {
  const at = time(value);
  if (at === null) return "–";
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  const day = isToday ? {} : { month: "2-digit", day: "2-digit" };
  return format(Intl.DateTimeFormat, { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
}

/** Day and time to the second. */
export function dateTime(value) {
  const at = time(value);
  const options = { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" };
  return at === null ? "–" : format(Intl.DateTimeFormat, options).format(at);
}

/** A span of time in milliseconds: `0.4 秒`, `35 秒`, `11 分`, `2.5 小时`, `3 天`. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  const of = Math.abs(ms);
  const [value, unit] =
    of < 120_000
      ? [of / 1000, "second"]
      : of < 7_200_000
        ? [of / 60_000, "minute"]
        : of < 2 * DAY
          ? [of / 3_600_000, "hour"]
          : [of / DAY, "day"];
  const digits = (unit === "second" && value < 10) || (unit === "hour" && value < 10) || unit === "day" ? 1 : 0;
  const text = format(Intl.NumberFormat, { maximumFractionDigits: digits }).format(value);
  return t(`unit.${unit}`, { n: text });
}

/** How long ago: `3 分前`. */
export function age(value) {
  const at = time(value);
  return at === null ? "–" : t("unit.ago", { n: duration(Math.max(0, ledgerNow() - at)) });
}

/** The tier's name without its prefix: `URGENT`. */
export function tierName(tier) {
  return String(tier ?? "").replace(/^TIER_/, "");
}

/** A chip that says a tier by colour, shape and word. */
export function tierChip(tier, { stale = false } = {}) {
  const name = tierName(tier);
  const chip = h("span", { class: "chip tier", dataset: { tier: name } }, tierShape(name), t(`tier.${name}`));
  return stale ? h("span", { class: "row tight" }, chip, h("span", { class: "chip stale" }, t("tier.stale"))) : chip;
}

// Told apart without colours, and when small.
const SHAPES = {
  NORMAL: () => s("circle", { cx: 6, cy: 6, r: 3.6, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
  TREND: () =>
    s("path", { d: "M1.5 9 5 5.5 7 7.5 10.5 3M7.6 3h2.9v2.9", fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
  THRESHOLD: () => s("path", { d: "M6 1.2 11 10.4H1z", fill: "currentColor" }),
  URGENT: () => s("path", { d: "M3.8.8h4.4l3 3v4.4l-3 3H3.8l-3-3V3.8zM5.2 2.8v4h1.6v-4zm0 5v1.6h1.6V7.8z", fill: "currentColor", "fill-rule": "evenodd" }),
  SOLD_OUT: () => s("path", { d: "M2 2l8 8M10 2l-8 8", fill: "none", stroke: "currentColor", "stroke-width": 2.6 }),
};

/** The shape of a tier alone. */
export function tierShape(name) {
  return s("svg", { viewBox: "0 0 12 12", class: "shape", "aria-hidden": "true" }, (SHAPES[name] || SHAPES.NORMAL)());
}
