// Line charts over time, drawn by uPlot in the page's own colours.
import { t } from "./words.js";

const FONT = "12px system-ui, sans-serif";
const charts = new Set();

/**
 * A chart in `node`. `series`: `{label, colour: "--accent", width, fill: true, dash: [4, 4], stepped: true, scale}`.
 * `set([times in seconds, values, values, ...])` draws (null: nothing there), `destroy()` takes it away.
 * `height` in pixels; `lines`: `[{at: seconds, colour, label, until}]`, upright marks, and a band up to `until` if that is said; `bands`: `[[upper, lower]]` of series.
 */
export function lineChart(node, { series, height = 220, lines = [], bands = [], min = 0, format = String, zoomed }) {
  let data = [[], ...series.map(() => [])];
  let plot = null;
  let marks = lines;
  const draw = () => {
    plot?.destroy();
    plot = new window.uPlot(options(node, { series, height, marks: () => marks, bands, min, format, zoomed }), data, node);
  };
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", series.map((one) => one.label).join(", "));
  const resized = new ResizeObserver(() => {
    if (plot && node.clientWidth && plot.width !== node.clientWidth) plot.setSize({ width: node.clientWidth, height });
  });
  resized.observe(node);
  draw();
  charts.add(draw);
  return {
    set(next, nextMarks) {
      data = next;
      if (nextMarks) marks = nextMarks;
      plot.setData(data);
    },
    destroy() {
      charts.delete(draw);
      resized.disconnect();
      plot.destroy();
    },
  };
}

/** The colours have changed. */
export function redraw() {
  for (const draw of charts) draw();
}

/** A colour of the page by its name: `colour("--accent")`. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || name;
}

function options(node, { series, height, marks, bands, min, format, zoomed }) {
  const ink = colour("--muted");
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: ink, grid, ticks: grid, font: FONT };
  return {
    width: node.clientWidth || 320,
    height,
    ms: 1e-3,
    scales: { y: { range: (_, low, high) => [Math.min(min, low ?? min), Math.max((high ?? 1) * 1.05, min + 1)] } },
    axes: [
      { ...axis, values: [[86400, "{MM}/{DD}"], [3600, "{HH}:{mm}"], [60, "{HH}:{mm}"], [1, "{HH}:{mm}:{ss}"]].map(([step, of]) => [step, of, null, null, null, null, null, null, 1]) },
      { ...axis, size: 52, values: (_, of) => of.map(format) },
    ],
    cursor: { drag: { x: true, y: false }, points: { size: 6 } },
    legend: { live: true },
    bands: bands.map(([upper, lower]) => ({ series: [upper, lower], fill: `${colour(series[upper - 1].colour)}22` })),
    series: [
      { label: t("chart.time"), value: (_, at) => (at === null || at === undefined ? "–" : new Date(at * 1000).toLocaleTimeString()) },
      ...series.map((each) => line(each, format)),
    ],
    hooks: {
      draw: [(plot) => drawMarks(plot, marks())],
      setScale: zoomed ? [(plot, key) => key === "x" && zoomed(plot.scales.x.min, plot.scales.x.max)] : [],
    },
  };
}

function line({ label, colour: name, width = 2, fill = false, dash, stepped = false }, format) {
  const stroke = colour(name);
  return {
    label,
    stroke,
    width,
    dash,
    fill: fill ? `${stroke}1f` : undefined,
    paths: stepped ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
    points: { show: false },
    value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
  };
}

function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const { at, colour: name = "--muted", label, until } of marks) {
    if (until) drawBand(plot, at, until, colour(name));
    const x = Math.round(plot.valToPos(at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(name);
    ctx.setLineDash([3, 3]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (label) ctx.fillText(label, x + 4, bbox.top + 12);
  }
  ctx.restore();
}

function drawBand({ ctx, bbox, scales, valToPos }, at, until, of) {
  const from = valToPos(Math.max(at, scales.x.min), "x", true);
  const to = valToPos(Math.min(until, scales.x.max), "x", true);
  if (to <= from) return;
  ctx.fillStyle = `${of}1c`;
  ctx.fillRect(from, bbox.top, to - from, bbox.height);
}
