// A small picture of what was sold and how the stock may go: drawn as SVG, light enough for hundreds of cards.
import { mark, s } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 56;
const PACE_SHARE = 0.34;

/** The picture; `set({pace, fan})` redraws it with a row of the board. */
export function fanChart(label) {
  const bars = s("path", { class: "fan-pace" });
  const wide = s("path", { class: "fan-wide" });
  const middle = s("path", { class: "fan-middle" });
  const now = s("path", { class: "fan-now", d: `M${WIDTH * PACE_SHARE} 0V${HEIGHT}` });
  const floor = s("path", { class: "fan-floor", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` });
  const node = s("svg", { class: "fan", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, bars, wide, middle, now, floor);
  return {
    node,
    set({ pace, fan }) {
      mark(bars, "d", barsOf(pace));
      const { outline, line } = fanOf(fan);
      mark(wide, "d", outline);
      mark(middle, "d", line);
    },
  };
}

function barsOf(pace) {
  const most = Math.max(...pace, 1);
  const step = (WIDTH * PACE_SHARE) / Math.max(pace.length, 1);
  return pace
    .map((units, place) => (units > 0 ? `M${(place * step).toFixed(1)} ${HEIGHT}v${(-units / most) * (HEIGHT - 6)}h${(step * 0.72).toFixed(1)}V${HEIGHT}z` : ""))
    .join("");
}

function fanOf(fan) {
  if (fan.length < 2) return { outline: "", line: "" };
  const start = WIDTH * PACE_SHARE;
  const last = fan[fan.length - 1].minutes;
  const most = Math.max(fan[0].p50, 1);
  const x = (point) => (start + (point.minutes / last) * (WIDTH - start)).toFixed(1);
  const y = (units) => (HEIGHT - (units / most) * (HEIGHT - 4)).toFixed(1);
  const upper = fan.map((point) => `${x(point)} ${y(point.p90)}`);
  const lower = [...fan].reverse().map((point) => `${x(point)} ${y(point.p10)}`);
  return {
    outline: `M${upper.join("L")}L${lower.join("L")}z`,
    line: `M${fan.map((point) => `${x(point)} ${y(point.p50)}`).join("L")}`,
  };
}
