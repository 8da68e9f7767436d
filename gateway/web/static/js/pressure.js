// How pressing a row of the board is.
import { tierName, TIERS } from "./format.js";

/** True if somebody should look at a row of the board. */
export function needsLook(row) {
  return tierRank(row) > 0 || row.stale || row.proposals.length > 0;
}

/** How grave its tier is, 0 the least. */
export function tierRank(row) {
  return TIERS.indexOf(tierName(row.tier));
}

/** What decides about a row's place at once; the rest can wait. */
export function rankOf(row) {
  return `${row.tier} ${row.stale} ${Boolean(row.acknowledgement)} ${row.proposals.length > 0}`;
}

/** Sorts the most pressing first, as the gateway does (`domain/board.py`). */
export function byPressure(one, other) {
  return (
    tierRank(other) - tierRank(one) ||
    Boolean(one.acknowledgement) - Boolean(other.acknowledgement) ||
    (one.minutes_p50 ?? Infinity) - (other.minutes_p50 ?? Infinity) ||
    (one.sku < other.sku ? -1 : 1)
  );
}
