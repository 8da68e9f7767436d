// One stream per tab that is looked at: the board's rows that change, the alert log, and every second how old all of it is.

import { hearTime } from "./ledger_time.js";
import { session } from "./session.js";

const STALE_MS = 3_000;
const LOOK_MS = 250;
const SILENT_MS = 8_000;
const AGAIN_MS = 2_000;
// A browser has six connections for a gateway: a tab that nobody sees is not to keep one.
const HIDDEN_MS = 3_000;

const listeners = new Map();
const rows = new Map();
let source = null;
let lastEventId = "";
let tick = null;
let heard = 0;
let begun = Infinity;
let state = "connecting";
let hiding = 0;

/** `live.on("board" | "event" | "tick" | "state", f)` returns what ends it. */
export const live = {
  on(kind, listener) {
    if (!listeners.has(kind)) listeners.set(kind, new Set());
    listeners.get(kind).add(listener);
    return () => listeners.get(kind).delete(listener);
  },
  /** The board's rows as they are known, by key. */
  rows: () => rows,
  /** The newest tick; null before the first. */
  tick: () => tick,
  /** "connecting", "live", "stale" or "paused". */
  state: () => state,
  /** How old what is shown is, in milliseconds; null before anything was heard. */
  age: () => (tick && tick.age_ms !== null ? tick.age_ms + (performance.now() - heard) : null),
  /** The last event of the alert log that was heard: `epoch.revision`. */
  position: () => lastEventId,
  pause() {
    close();
    become("paused");
  },
  resume() {
    open();
  },
  /** Begin again, as somebody else may be looking now. */
  restart() {
    lastEventId = "";
    if (state !== "paused") open();
  },
};

/** What a row is known by. */
export function keyOf(row) {
  return `${row.sku}\n${row.session_id}`;
}

function open() {
  close();
  if (document.hidden) return;
  begun = Math.min(begun, performance.now());
  if (!tick) become("connecting");
  else if (state === "paused") become("stale");
  source = new EventSource(`/events?${new URLSearchParams({ after: lastEventId, merchant: session.merchant })}`);
  source.addEventListener("board", (message) => takeBoard(JSON.parse(message.data)));
  source.addEventListener("event", (message) => {
    lastEventId = message.lastEventId;
    tell("event", JSON.parse(message.data));
  });
  source.addEventListener("lost", () => tell("lost", null));
  source.addEventListener("tick", (message) => {
    if (message.lastEventId) lastEventId = message.lastEventId;
    const told = JSON.parse(message.data);
    if (told.as_of) hearTime(told.as_of, told.age_ms ?? 0);
    // A gateway that has only begun does not know yet; what is shown is as old as it was.
    if (told.age_ms === null && tick) return;
    tick = told;
    heard = performance.now();
    look();
    tell("tick", tick);
  });
  source.addEventListener("error", () => {
    // The browser tries again by itself, but for a refusal: then we do, now and then.
    if (source?.readyState === EventSource.CLOSED) {
      tell("refused", null);
      setTimeout(() => state !== "paused" && open(), AGAIN_MS);
    }
    look();
  });
  heard = Math.max(heard, performance.now() - STALE_MS);
}

function seen() {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
  else if (!source && state !== "paused") open();
}

function close() {
  source?.close();
  source = null;
}

function takeBoard({ full, rows: changed, gone }) {
  if (full) {
    rows.clear();
  }
  for (const key of gone) rows.delete(key);
  // A row of which only the stock moved comes without the rest.
  const whole = changed.map((row) => ({ ...rows.get(keyOf(row)), ...row }));
  for (const row of whole) rows.set(keyOf(row), row);
  tell("board", { full, rows: whole, gone });
}

function look() {
  if (state === "paused") return;
  const age = live.age();
  const isOld = age === null ? performance.now() - begun > STALE_MS : age > STALE_MS;
  become(isOld ? "stale" : age === null ? "connecting" : "live");
  // A connection that says nothing is none, whatever the browser believes.
  if (tick && performance.now() - heard > SILENT_MS && source?.readyState === EventSource.OPEN) open();
}

function become(next) {
  if (next === state) return;
  state = next;
  tell("state", state);
}

function tell(kind, content) {
  for (const listener of [...(listeners.get(kind) || [])]) listener(content);
}

setInterval(look, LOOK_MS);

/** Begin to listen, as long as somebody looks. */
export function begin() {
  document.addEventListener("visibilitychange", seen);
  open();
}
