// On Now: the drill that is on, and those of its SKUs that somebody must do something about; rehearsed where work is done.
import { DrillCards } from "./drill_cards.js";
import { DrillLog } from "./drill_log.js";
import { fill, h } from "./dom.js";
import { t } from "./words.js";

const CARDS = 6;

/** `node` is empty while no drill is on. */
export class DrillStrip {
  constructor() {
    this.node = h("section", { class: "drill-strip stack", hidden: true, "aria-label": t("drill.one") });
    this.log = null;
  }

  /** Show this one, `{id, name}`; null: none. */
  show(drill) {
    if ((drill?.id || 0) === (this.log?.id || 0)) return;
    this.log?.end();
    this.log = null;
    this.node.hidden = !drill;
    if (drill) this.begin(drill);
  }

  begin({ id, name }) {
    const told = h("span", { class: "muted small" });
    const log = new DrillLog(id, () => draw());
    const cards = new DrillCards(log, { most: CARDS, onlyWarned: true });
    const draw = () => {
      const count = cards.draw();
      fill(told, count === 0 ? t("drill.strip_calm") : count > CARDS && t("drill.strip_more", { n: count - CARDS }));
    };
    this.log = log;
    fill(this.node, h("div", { class: "row" }, h("span", { class: "chip drill" }, t("drill.chip")), h("a", { class: "break", href: `/drills/${id}` }, name || `#${id}`), told), cards.node);
    log.begin().then(draw, () => {
      // The next tick tries again.
      if (this.log === log) this.log = null;
    });
  }
}
