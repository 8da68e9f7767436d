// A trace's spans in order of cause: each under its parent or, where it goes on from another trace, under its link.

/** Milliseconds since 1970 of a message's time, with what lies below a millisecond. */
export function exactTime(text) {
  const fraction = /\.(\d+)/.exec(text || "");
  const whole = Date.parse((text || "").replace(/\.\d+/, ""));
  return whole + (fraction ? Number(`0.${fraction[1]}`) * 1000 : 0);
}

/** `[{span, depth, isLinked, begin, took}]`, times in milliseconds from the first begin; and how long all of it took. */
export function ordered(spans) {
  const timed = spans.map((span) => ({ span, begin: exactTime(span.begin_time), took: Number.parseFloat(span.duration || "0") * 1000 }));
  const first = Math.min(...timed.map(({ begin }) => begin));
  for (const one of timed) one.begin -= first;
  timed.sort((one, other) => one.begin - other.begin);
  const known = new Map(timed.map((one) => [idOf(one.span.trace_id, one.span.span_id), one]));
  const below = new Map();
  const roots = [];
  for (const one of timed) {
    const above = aboveOf(one.span, known);
    one.isLinked = Boolean(above) && above.span.trace_id !== one.span.trace_id;
    if (!above) roots.push(one);
    else if (below.has(above)) below.get(above).push(one);
    else below.set(above, [one]);
  }
  const lines = walked(roots, below);
  const seen = new Set(lines.map(({ span }) => span));
  // Spans that are above each other, whoever says so, are under nobody.
  for (const one of timed) if (!seen.has(one.span)) lines.push({ ...one, depth: 0 });
  return { lines, whole: Math.max(0.001, ...timed.map(({ begin, took }) => begin + took)) };
}

function aboveOf(span, known) {
  const parent = known.get(idOf(span.trace_id, span.parent_span_id));
  if (parent && parent.span !== span) return parent;
  const others = span.links.filter((link) => link.trace_id !== span.trace_id);
  return others.map((link) => known.get(idOf(link.trace_id, link.span_id))).find(Boolean);
}

/** A span's id alone is not unique. */
function idOf(trace, span) {
  return `${trace}/${span}`;
}

function walked(roots, below) {
  const lines = [];
  const waiting = roots.map((one) => ({ ...one, depth: 0, of: one })).reverse();
  while (waiting.length > 0) {
    const { of, ...line } = waiting.pop();
    lines.push(line);
    const next = below.get(of) || [];
    below.delete(of);
    for (const one of [...next].reverse()) waiting.push({ ...one, depth: line.depth + 1, of: one });
  }
  return lines;
}
