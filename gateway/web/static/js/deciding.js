// What people do about a warning: take it on, silence it, decide what is proposed.
import { act, ApiError } from "./api.js";
import { ask, notify } from "./dialog.js";
import { clock } from "./format.js";
import { ledgerNow } from "./ledger_time.js";
import { errorText } from "./session.js";
import { t } from "./words.js";

// A second press within this is the first one's.
const AGAIN_MS = 1_000;
const running = new Set();

/** What can be decided by one click, and what needs numbers. */
export const AT_ONCE = ["WATCH", "CAP_SALES", "DELIST", "FALSE_ALARM"];
export const WITH_UNITS = ["REPLENISH", "TRANSFER"];

const SILENCES = [15, 60, 240];
const ARRIVES_MINUTES = 60;

/** Take a warning on with this action; of what brings units it is asked how many and when. */
export async function acknowledge(row, action, { asksAll = false } = {}) {
  const said = asksAll || WITH_UNITS.includes(action) ? await askAcknowledgement(row, action, asksAll) : { action };
  if (!said) return;
  await doing(`ack ${row.sku} ${row.session_id}`, async () => {
    await act("AlertService/Acknowledge", {
      sku: row.sku,
      session_id: row.session_id,
      episode: row.episode,
      tier: row.tier,
      action: `ACK_ACTION_${said.action}`,
      note: said.note || "",
      ...(WITH_UNITS.includes(said.action) ? { quantity: Number(said.quantity), arrive_time: inMinutes(said.minutes) } : {}),
    });
    return t("now.acknowledged", { sku: row.sku, action: t(`ack.${said.action}`) });
  });
}

/** Silence a SKU. */
export async function silence(row) {
  const said = await ask({
    title: t("now.silence_title", { sku: row.sku }),
    text: t("now.silence_text"),
    fields: [
      { name: "minutes", label: t("now.silence_for"), type: "choice", value: SILENCES[0], options: SILENCES.map((minutes) => [minutes, t("now.silence_minutes", { n: minutes })]) },
      { name: "comment", label: t("now.why"), required: true, maxlength: 500, placeholder: t("now.silence_why") },
    ],
    confirm: t("now.silence"),
  });
  if (!said) return;
  await doing(`silence ${row.sku}`, async () => {
    await act("AlertService/Silence", {
      matcher: { skus: [row.sku] },
      end_time: inMinutes(said.minutes),
      comment: said.comment,
      until_resolved: true,
    });
    return t("now.silenced", { sku: row.sku, n: said.minutes });
  });
}

/** End a silence. */
export async function endSilence(silenceId) {
  await doing(`end ${silenceId}`, async () => {
    await act("AlertService/EndSilence", { silence_id: silenceId });
    return t("now.silence_ended");
  });
}

/** Approve what is proposed, or decline it and say why. */
export async function decide(proposal, approve) {
  const said = approve ? { note: "" } : await ask({ title: t("now.decline_title"), fields: [{ name: "note", label: t("now.why"), maxlength: 500 }], confirm: t("now.decline") });
  if (!said) return;
  await doing(`decide ${proposal.proposal_id}`, async () => {
    await act("LiveService/DecideProposal", { proposal_id: proposal.proposal_id, approve, note: said.note });
    return t(approve ? "now.approved" : "now.declined");
  });
}

/** What a proposal would do, in one line. */
export function proposed(proposal) {
  return t(`proposal.${proposal.kind.replace("PROPOSAL_KIND_", "")}`, {
    n: proposal.quantity,
    from: proposal.from_location,
    to: proposal.to_location,
    substitute: proposal.substitute,
    session: proposal.session_id,
  });
}

async function askAcknowledgement(row, action, asksAll) {
  const actions = [...AT_ONCE.slice(0, 1), ...WITH_UNITS, ...AT_ONCE.slice(1)];
  const only = asksAll ? { of: "action", are: WITH_UNITS } : undefined;
  const units = [
    { name: "quantity", label: t("now.units"), type: "number", min: 1, step: 1, required: true, only, inputmode: "numeric" },
    { name: "minutes", label: t("now.arrive_minutes"), type: "number", min: 1, step: 1, value: ARRIVES_MINUTES, required: true, only, inputmode: "numeric" },
  ];
  const said = await ask({
    title: t("now.ack_title", { sku: row.sku }),
    text: asksAll ? t("now.ack_text") : "",
    fields: [
      ...(asksAll ? [{ name: "action", label: t("now.ack_action"), type: "choice", value: action, options: actions.map((one) => [one, t(`ack.${one}`)]) }] : []),
      ...units,
      { name: "note", label: t("now.note"), type: "textarea", maxlength: 500 },
    ],
    confirm: t("now.ack"),
  });
  return said && { action, ...said };
}

/** Do it and say what came of it; of a warning that is taken on already: by whom. `what` is done once at a time. */
async function doing(what, work) {
  if (running.has(what)) return;
  running.add(what);
  try {
    notify(await work(), "ok");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // Who does not want to say who he is has seen the question.
    if (error.reason !== "SIGN_IN") notify(refusal(error), "problem");
  } finally {
    setTimeout(() => running.delete(what), AGAIN_MS);
  }
}

function refusal(error) {
  if (error.reason === "ALREADY_ACKNOWLEDGED") return t("now.first", { by: error.facts.by, at: clock(error.facts.at) });
  if (error.reason === "PROPOSAL_SETTLED" && error.facts.by) return t("now.settled", { by: error.facts.by });
  return errorText(error);
}

function inMinutes(minutes) {
  return new Date(ledgerNow() + Number(minutes) * 60_000).toISOString();
}
