// Drills: begin one, and how those before went.
import { act, call } from "../api.js";
import { empty, loading, notify } from "../dialog.js";
import { fill, h, keepingFocus } from "../dom.js";
import { duration, number, when } from "../format.js";
import { more as addRows, table } from "../table.js";
import { errorText } from "../session.js";
import { lang, pick, t } from "../words.js";
import { words } from "./drill_words.js";

export { words };

const DRILLS = 20;
const SESSIONS = 50;
const SPEEDS = [1, 5, 10, 30, 60, 200];
const KINDS = ["built_in", "session", "made_up"];
const WAIT_MS = 350;
const MINUTE = 60;
const THOUSAND = 1000;

async function mount(root, { go, query }) {
  const history = h("section", { class: "stack" }, h("h2", {}, t("drill.history")), loading(h("div", {})));
  const [{ rehearsals }, { sessions }, drills] = await Promise.all([
    call("AlertService/ListRehearsals"),
    call("LiveService/ListSessions", { page_size: SESSIONS }),
    call("AlertService/ListDrills", { page_size: DRILLS }),
  ]);
  const begin = new Begin({ rehearsals, sessions, go, chosen: query.get("session") });
  fill(history, h("h2", {}, t("drill.history")), past(drills, go));
  fill(root, h("div", { class: "page-head" }, h("h1", {}, t("nav.drills"))), h("div", { class: "stack drills" }, begin.node, history));
  begin.look();
  return () => begin.end();
}

export default { path: "/drills", nav: "drills", mount };

// ---- those before

function past(answer, go) {
  const columns = [
    { title: t("drill.one"), render: (one) => h("a", { href: `/drills/${one.drill_id}` }, one.script.name || `#${one.drill_id}`) },
    { title: t("drill.state"), render: (one) => stateChip(one) },
    { title: t("drill.met"), render: (one) => (one.score?.met.length ? `${one.score.met.filter(Boolean).length} / ${one.score.met.length}` : ""), align: "right" },
    ...["detect", "deliver", "acknowledge", "act"].map((name) => ({ title: t(`drill.${name}`), render: (one) => took(one.score, name), align: "right" })),
    { title: t("drill.started"), render: (one) => when(one.start_time), align: "right" },
    { title: t("drill.by"), render: (one) => one.actor },
  ];
  const onrow = (one) => go(`/drills/${one.drill_id}`);
  const shown = table(columns, answer.drills, { empty: empty(t("drill.empty"), t("drill.empty_text")), onrow });
  const next = h("button", { class: "button", hidden: !answer.next_page_token }, t("more"));
  let token = answer.next_page_token;
  next.addEventListener("click", async () => {
    const page = await call("AlertService/ListDrills", { page_size: DRILLS, page_token: token });
    token = page.next_page_token;
    addRows(shown, columns, page.drills, { onrow });
    next.hidden = !token;
  });
  return [shown, h("div", { class: "row" }, next)];
}

/** Whether it runs, or how it went. */
export function stateChip(drill) {
  if (drill.state === "ENDED" && drill.score) {
    return h("span", { class: ["chip", drill.score.passed ? "good" : "bad"] }, t(drill.score.passed ? "drill.passed" : "drill.failed"));
  }
  return h("span", { class: ["chip", drill.state === "RUNNING" ? "info" : drill.state === "LOST" ? "bad" : ""] }, t(`drill.${drill.state}`));
}

/** How long something took, by its name in a score. */
export function took(score, name) {
  const seconds = score?.[`${name}_seconds`];
  return seconds === null || seconds === undefined ? "" : duration(seconds * THOUSAND);
}

// ---- beginning one

class Begin {
  constructor({ rehearsals, sessions, go, chosen }) {
    this.rehearsals = rehearsals;
    this.sessions = sessions;
    this.go = go;
    this.kind = chosen ? "session" : "built_in";
    this.script = rehearsals[0]?.name;
    this.waiting = 0;
    this.turn = 0;
    this.inputs = {
      session: h("select", { id: "drill-session" }, sessions.map((one) => h("option", { value: one.session_id }, `${one.room} #${one.session_id} · ${when(one.open_time)}`))),
      speed: h("select", { id: "drill-speed" }, SPEEDS.map((one) => h("option", { value: one }, t("drill.speed_of", { n: one })))),
      name: h("input", { id: "drill-name", value: t("drill.name_default"), maxlength: 100, required: true }),
      skus: h("input", { id: "drill-skus", value: "DRILL-1 DRILL-2 DRILL-3", required: true, spellcheck: "false" }),
      units: numeric("drill-units", 200, { min: 1, max: 1e9, step: 1 }),
      rate: numeric("drill-rate", 6, { min: 0.001, max: 6000, step: "any" }),
      surge: numeric("drill-surge", 4, { min: 1, max: 1000, step: "any" }),
      minutes: numeric("drill-minutes", 30, { min: 1, max: 1440, step: "any" }),
      lead: numeric("drill-lead", 10, { min: 0, max: 1e6, step: "any" }),
      seed: numeric("drill-seed", 1, { min: 0, max: 1e15, step: 1 }),
    };
    this.inputs.speed.value = "10";
    if (chosen) this.inputs.session.value = chosen;
    this.tabs = h("div", { class: "row", role: "group", "aria-label": t("drill.one") });
    this.choice = h("div", {});
    this.preview = h("div", { class: "muted preview", role: "status" });
    this.start = h("button", { class: "button primary", onclick: () => this.begin() }, t("drill.begin"));
    this.node = h(
      "section",
      { class: "card stack" },
      h("p", { class: "muted" }, t("drill.intro")),
      this.tabs,
      this.choice,
      h("div", { class: "row apart begin" }, h("div", { class: "row" }, h("label", { for: "drill-speed", class: "muted" }, t("drill.speed")), this.inputs.speed), this.start),
      this.preview,
    );
    this.node.addEventListener("input", () => this.look(WAIT_MS));
    this.choose(this.kind);
  }

  choose(kind) {
    this.kind = kind;
    const tab = (name) =>
      h("button", { class: "button small", "aria-pressed": String(name === kind), dataset: { focus: name }, onclick: () => this.choose(name) || this.look() }, t(`drill.kind.${name}`));
    keepingFocus(this.tabs, () => fill(this.tabs, KINDS.map(tab)));
    fill(this.choice, { built_in: () => this.scripts(), session: () => this.session(), made_up: () => this.form() }[kind]());
  }

  scripts() {
    const option = (one) =>
      h(
        "label",
        { class: "card script" },
        h("input", { type: "radio", name: "drill-script", value: one.name, checked: one.name === this.script, onchange: () => this.pickScript(one.name) }),
        h("span", { class: "stack" }, h("strong", {}, pick(one, "title")), h("span", { class: "muted small" }, pick(one, "text")), h("span", { class: "small num" }, duration(one.script.seconds * THOUSAND))),
      );
    return h("div", { class: "scripts", role: "radiogroup" }, this.rehearsals.map(option));
  }

  pickScript(name) {
    this.script = name;
  }

  session() {
    if (this.sessions.length === 0) return h("p", { class: "muted" }, t("drill.no_session"));
    return field("drill-session", t("drill.session"), this.inputs.session, t("drill.session_hint"));
  }

  form() {
    const { inputs } = this;
    return h(
      "div",
      { class: "fields" },
      field("drill-name", t("drill.name"), inputs.name, t("drill.name_hint")),
      field("drill-skus", t("drill.skus"), inputs.skus, t("drill.skus_hint")),
      field("drill-units", t("drill.units"), inputs.units),
      field("drill-rate", t("drill.rate"), inputs.rate),
      field("drill-surge", t("drill.surge"), inputs.surge, t("drill.surge_hint")),
      field("drill-minutes", t("drill.minutes"), inputs.minutes),
      field("drill-lead", t("drill.lead"), inputs.lead),
      field("drill-seed", t("drill.seed"), inputs.seed, t("drill.seed_hint")),
    );
  }

  /** What is asked for now. */
  source() {
    const { inputs } = this;
    const speed = Number(inputs.speed.value);
    if (this.kind === "built_in") return { built_in: this.script, speed };
    if (this.kind === "session") return { session_id: Number(inputs.session.value), speed };
    const made_up = {
      name: inputs.name.value.trim(),
      skus: inputs.skus.value.split(/[\s,，、]+/).filter(Boolean),
      units: Math.round(Number(inputs.units.value)),
      rate: Number(inputs.rate.value),
      surge: Number(inputs.surge.value),
      seconds: Number(inputs.minutes.value) * MINUTE,
      lead_seconds: Number(inputs.lead.value) * MINUTE,
      seed: Math.round(Number(inputs.seed.value)),
    };
    return { made_up, speed };
  }

  /** Show what would be played, in a moment. */
  look(wait = 0) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.show(), wait);
  }

  async show() {
    this.turn += 1;
    const mine = this.turn;
    if (this.kind === "session" && this.sessions.length === 0) {
      this.start.disabled = true;
      fill(this.preview);
      return;
    }
    try {
      const { script, tape_orders } = await call("AlertService/PreviewRehearsal", { source: this.source() });
      if (mine !== this.turn) return;
      this.start.disabled = false;
      fill(this.preview, previewOf(script, tape_orders));
    } catch (error) {
      if (mine !== this.turn) return;
      if (!error.reason) throw error;
      this.start.disabled = true;
      fill(this.preview, h("span", { class: "problem" }, errorText(error)));
    }
  }

  async begin() {
    this.start.disabled = true;
    try {
      const { drill } = await act("AlertService/Rehearse", { source: this.source() });
      this.go(`/drills/${drill.drill_id}`);
    } catch (error) {
      if (!error.reason) throw error;
      notify(errorText(error), "problem");
      this.start.disabled = false;
    }
  }

  end() {
    this.turn += 1;
    clearTimeout(this.waiting);
  }
}

function previewOf(script, orders) {
  const length = duration(script.seconds * THOUSAND);
  const real = duration((script.seconds / script.speed) * THOUSAND);
  const skus = script.expectations.map((one) => one.sku);
  const units = script.skus.reduce((total, sku) => total + sku.units, 0);
  const facts = [
    t("drill.preview", { name: script.name, length, real }),
    t("drill.preview_skus", { count: number(script.skus.length), units: number(units) }),
    orders > 0 && t("drill.preview_orders", { count: number(orders) }),
    skus.length ? t("drill.preview_expects", { skus: skus.slice(0, 6).join(lang() === "en" ? ", " : "、") + (skus.length > 6 ? " …" : "") }) : t("drill.preview_expects_none"),
  ];
  return h("ul", {}, facts.filter(Boolean).map((fact) => h("li", { class: "break" }, fact)));
}

function field(id, label, input, hint) {
  return h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("small", { class: "muted" }, hint));
}

function numeric(id, value, { min, max, step }) {
  return h("input", { id, type: "number", inputmode: "decimal", value: String(value), min, max, step, required: true });
}
