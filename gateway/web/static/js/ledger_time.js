// The ledger's clock. A computer's own may be minutes off, and is not to decide what is late or when a silence ends.

let ahead = 0;

/** The gateway has said what time it is, or was so many milliseconds ago. */
export function hearTime(asOf, ago = 0) {
  const at = Date.parse(asOf);
  if (!Number.isNaN(at)) ahead = at + ago - Date.now();
}

/** Milliseconds since 1970, by the gateway; by this computer until the gateway has been heard. */
export function ledgerNow() {
  return Date.now() + ahead;
}
