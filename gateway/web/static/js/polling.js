// Looking again and again: one look at a time, only while somebody sees it, and never failing in silence.
import { mark } from "./dom.js";
import { live } from "./live.js";
import { t } from "./words.js";

/** Look again so long after each look; what `node` shows is marked as old while that fails. Returns what ends it. */
export function every(ms, node, look) {
  let timer = 0;
  let isOver = false;
  const again = async () => {
    try {
      if (!document.hidden && live.state() !== "paused") await look();
      mark(node, "data-failed", null);
    } catch (error) {
      mark(node, "data-failed", t("failed.old"));
      if (!error.reason) throw error;
    } finally {
      if (!isOver) timer = setTimeout(again, ms);
    }
  };
  timer = setTimeout(again, ms);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
