"""Why a listing shows what it shows: the deciders put together, the cause, the verdict and the sentence (R32).

There are two kinds of reasons. A *trouble* is a station that holds a change up, or because of which nobody can know
what is shown; if there is one, the first is the cause. Only if there is none, and no change is under way, is the number
as the rules want it: then the cause is the rule that keeps most back, the others say what they do beside it. A change
that is under way, with nothing wrong on its way, is its own cause.
"""

from datetime import timedelta

from gateway.domain.explanation import calls, inner, shelf
from gateway.domain.explanation.cases import Case, Facts
from gateway.domain.explanation.said import (
    Decider,
    DeciderKind,
    DeciderVerdict,
    Explanation,
    ExplanationVerdict,
    Said,
    lasting,
)

# A change reaches its platform within so long, if all is well.
IN_TIME = timedelta(seconds=5)
_RULES = {DeciderKind.LEDGER, DeciderKind.RESERVATIONS, DeciderKind.POLICY}


def explain(facts: Facts) -> Explanation:
    """Say why the listing shows what it shows."""
    case = Case(facts)
    deciders = tuple(sorted(_deciders(case), key=lambda one: one.kind))
    cause = next((one for one in deciders if not one.is_fine), None)
    return Explanation(
        facts.listing,
        facts.sku,
        facts.now,
        facts.movement.revision if facts.movement else 0,
        case.available,
        case.wanted,
        _verdict(case, cause),
        cause.kind if cause else None,
        _headline(case, cause),
        deciders,
    )


def _deciders(case: Case) -> list[Decider]:
    troubles = [
        inner.allocator(case, is_patient=True),
        inner.exposure(case),
        inner.guard(case),
        calls.delivery(case),
        calls.rate_limit(case),
        calls.breaker(case),
        calls.attempt(case),
        shelf.reading(case),
        shelf.orders(case),
        shelf.reconciliation(case),
    ]
    is_well = all(one.is_fine for one in troubles)
    if is_well:
        troubles[0] = inner.allocator(case, is_patient=False)
    is_idle = is_well and troubles[0].is_fine
    rule = _rule(case) if is_idle and case.push is None else None
    return [
        inner.ledger(case, is_cause=rule is DeciderKind.LEDGER),
        inner.reservations(case, is_cause=rule is DeciderKind.RESERVATIONS),
        inner.policy(case, is_cause=rule is DeciderKind.POLICY),
        inner.push(case, is_cause=is_idle),
        *troubles,
    ]


def _rule(case: Case) -> DeciderKind | None:
    """The rule that keeps most from this listing, or gives it more than there is; None if it shows all there is."""
    if case.facts.sku in case.situation.frozen or inner.is_shared(case):
        return DeciderKind.POLICY
    if case.sales_on_hand <= 0:
        return DeciderKind.LEDGER
    by_holds = case.sales_on_hand - case.sales_available
    by_policy = case.sales_available - case.state.sales_left
    if by_policy < 0 or by_policy > by_holds:
        return DeciderKind.POLICY
    if by_holds:
        return DeciderKind.RESERVATIONS
    return DeciderKind.POLICY if case.state.sales_left != case.wanted else None


def _verdict(case: Case, cause: Decider | None) -> ExplanationVerdict:
    if cause is None:
        return ExplanationVerdict.IN_STEP
    if cause.kind in _RULES:
        return ExplanationVerdict.RULE_INTENDED
    if cause.kind is DeciderKind.RECONCILIATION:
        return ExplanationVerdict.DRIFTED
    if cause.kind is DeciderKind.READING and shelf.cached_push(case) is not None:
        return ExplanationVerdict.PLATFORM_CACHED
    if cause.verdict is DeciderVerdict.BLOCKS:
        return ExplanationVerdict.BLOCKED
    is_young = cause.since is not None and case.now - cause.since <= IN_TIME
    return ExplanationVerdict.IN_FLIGHT if is_young else ExplanationVerdict.DELAYED


def _headline(case: Case, cause: Decider | None) -> Said:
    """One sentence: what is shown, what there is, the cause, since when, what comes."""
    shown, name = _shown(case), _name(case)
    there = Said(f"账上可售 {case.available} 件", f"the ledger has {case.available} to offer")
    zh, en = f"{name.zh}{shown.zh}，{there.zh}", f"{name.en} {shown.en}; {there.en}"
    if cause is None:
        return Said(f"{zh}：一致，没有要解释的", f"{en}: in step, nothing to explain")
    if case.wanted not in {case.available, case.state.sales_left}:
        zh, en = f"{zh}，按规则应有 {case.wanted} 单", f"{en}, {case.wanted} sales are due here"
    zh, en = f"{zh}：{cause.text.zh}", f"{en}: {cause.text.en}"
    if cause.since is not None and cause.kind not in _RULES:
        age = lasting(case.now - cause.since)
        zh, en = f"{zh}；已 {age.zh}", f"{en}; since {age.en} ago"
    if cause.next.zh:
        zh, en = f"{zh}；{cause.next.zh}", f"{en}; {cause.next.en}"
    elif cause.action.zh:
        zh, en = f"{zh}；{cause.action.zh}", f"{en}; {cause.action.en}"
    return Said(f"{zh}。", f"{en}.")


def _name(case: Case) -> Said:
    code = case.listing.channel
    return case.channel.name if case.channel is not None else Said(code, code)


def _shown(case: Case) -> Said:
    state, applied = case.state, case.last_applied
    if state.shown is None or state.read_time is None:
        return Said("显示多少还没有读过", "was never read")
    if applied is not None and applied.settle_time is not None and applied.settle_time > state.read_time:
        left = max(0, state.sales_left)
        return Said(f"应显示 {left}（上次改动后推算）", f"should show {left} (by its last change)")
    age = lasting(case.now - state.read_time)
    return Said(f"显示 {state.shown}（{age.zh}前读到）", f"shows {state.shown} (read {age.en} ago)")
