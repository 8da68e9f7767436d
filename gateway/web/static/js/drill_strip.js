// On Now: the drill that is on, and those of its SKUs that somebody must do something about; rehearsed where work is done.
import { DrillCards } from "./drill_cards.js";
import { DrillLog } from "./drill_log.js";
import { fill, h } from "./dom.js";
import { t } from "./words.js";

const CARDS = 6;

/** `node` is hidden while nothing of a drill needs anybody; that one is on is said above every page. */
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
    this.node.hidden = true;
    if (drill) this.begin(drill);
  }

  begin({ id, name }) {
    const told = h("span", { class: "muted small" });
    const log = new DrillLog(id, () => draw());
    const cards = new DrillCards(log, { most: CARDS, onlyWarned: true });
    const draw = () => {
      const count = cards.draw();
      this.node.hidden = count === 0;
      fill(told, count > CARDS && t("drill.strip_more", { n: count - CARDS }));
    };
    this.log = log;
    fill(this.node, h("div", { class: "row" }, h("span", { class: "chip drill" }, t("drill.chip")), h("a", { class: "break", href: `/drills/${id}` }, name || `#${id}`), told), cards.node);
    log.begin().then(draw, () => {
      // The next tick tries again.
      if (this.log === log) this.log = null;
    });
  }
}
