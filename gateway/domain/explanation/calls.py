"""The deciders on the way out: the connector, the platform's limits, whether it answers, what the last call came to."""

from datetime import timedelta

from msgspec.structs import replace

from gateway.domain.attempts import Attempt, AttemptOutcome
from gateway.domain.explanation.cases import SILENCE, Case, ChannelThen
from gateway.domain.explanation.said import (
    NOTHING,
    Decider,
    DeciderKind,
    DeciderVerdict,
    EvidenceRow,
    Said,
    lasting,
    row,
)
from gateway.domain.listings import Push, PushResult
from gateway.domain.selling import PushRecord

# A call that waits for its turn so long waits for the rate.
TURN_COMES = timedelta(seconds=5)
# A connector asks a platform that was away again after so long (`connectors/transport.py`).
PROBE = timedelta(seconds=5)
_AUTHORIZE = "authorization"


def delivery(case: Case) -> Decider:
    """Whether the channel's connector has heard of what is to be done."""
    channel = case.channel
    if channel is None:
        return _not_kept(DeciderKind.DELIVERY)
    heard, said = channel.heartbeat_time, channel.said
    if heard is None or said is None:
        return Decider(
            DeciderKind.DELIVERY,
            Said("还没有连接器来服务这个渠道", "no connector was ever heard for this channel"),
            DeciderVerdict.BLOCKS,
            action=Said(
                f"启动连接器：stockgate connect {channel.channel}", f"start one: stockgate connect {channel.channel}"
            ),
        )
    age = lasting(case.now - heard)
    found = Decider(
        DeciderKind.DELIVERY,
        Said(f"连接器 {said.connector_id} {age.zh}前报到过", f"connector {said.connector_id} was heard {age.en} ago"),
        since=heard,
        evidence=(row("connector", said.connector_id),),
    )
    if case.now - heard >= SILENCE:
        return replace(
            found,
            text=Said(
                f"连接器 {said.connector_id} 没有声音已经 {age.zh}",
                f"connector {said.connector_id} has not been heard for {age.en}",
            ),
            verdict=DeciderVerdict.BLOCKS,
            next=Said("有备用连接器的话，它会接手", "a standby takes over, if there is one"),
            action=Said(
                f"启动连接器：stockgate connect {channel.channel}", f"start one: stockgate connect {channel.channel}"
            ),
        )
    return _replaced(case, channel, found)


def _replaced(case: Case, channel: ChannelThen, found: Decider) -> Decider:
    assert channel.said is not None, "one that was heard"
    if not channel.follower or channel.follower == channel.said.connector_id or channel.said.needs:
        return found
    since = channel.since.get("follower") or channel.record_time
    return replace(
        found,
        text=Said(
            f"连接器换成了 {channel.follower}，它还没有报到（{lasting(case.now - since).zh}）",
            f"connector {channel.follower} has taken over and was not heard yet ({lasting(case.now - since).en})",
        ),
        verdict=DeciderVerdict.WAITS,
        since=since,
        evidence=(row("connector", channel.follower), row("connector", channel.said.connector_id)),
        next=Said("新的没有声音，旧的 15 秒后接手", "if it stays silent, the other takes over again within seconds"),
        action=Said("同一个渠道只要一个连接器", "one connector per channel is enough"),
    )


def rate_limit(case: Case) -> Decider:
    """Whether the platform's limits leave room for a call."""
    channel = case.channel
    if channel is None or channel.said is None or channel.heartbeat_time is None:
        return _not_kept(DeciderKind.RATE_LIMIT)
    said = channel.said
    is_wanted = case.needs_change or bool(case.state.read_id)
    until = channel.heartbeat_time + timedelta(seconds=said.ban_seconds)
    if said.ban_seconds and until > case.now and is_wanted:
        left = lasting(until - case.now)
        return Decider(
            DeciderKind.RATE_LIMIT,
            Said(f"平台限流，{left.zh}内不许再调用", f"the platform bans calls for {left.en} more"),
            DeciderVerdict.WAITS,
            channel.since.get("banned") or channel.heartbeat_time,
            next=Said("到时间自动接着调", "calls go on by themselves then"),
            next_time=until,
            action=Said("别的系统也在用这个应用的额度吗？", "does another system use this app's quota too?"),
        )
    attempt = _attempt_of(case)
    if attempt is not None and attempt.outcome is AttemptOutcome.THROTTLED and case.push is not None:
        return Decider(
            DeciderKind.RATE_LIMIT,
            Said(
                f"平台说调用太多（{attempt.platform_code or '限流'}），排队等着",
                "the platform says there are too many calls; the push waits",
            ),
            DeciderVerdict.WAITS,
            attempt.begin_time,
            (row("attempt", f"{attempt.push_id}/{attempt.number}"),),
            attempt.traceparent or "",
            next=Said("到时间自动再试", "it is tried again by itself"),
            next_time=attempt.next_try_time,
        )
    waits = said.waiting > 0 and case.push is not None and case.now - case.push.create_time > TURN_COMES
    text = Said(f"没有被限流，{said.waiting} 个调用在排队", f"calls are not banned; {said.waiting} wait for their turn")
    return Decider(DeciderKind.RATE_LIMIT, text, DeciderVerdict.WAITS if waits else DeciderVerdict.OK)


def breaker(case: Case) -> Decider:
    """Whether the platform is answering."""
    channel = case.channel
    if channel is None or channel.said is None:
        return _not_kept(DeciderKind.BREAKER)
    if not channel.said.breaker_open:
        return Decider(DeciderKind.BREAKER, Said("平台有应答", "the platform answers"))
    since = channel.since.get("breaker_open") or channel.record_time
    how_long = lasting(case.now - since)
    return Decider(
        DeciderKind.BREAKER,
        Said(f"平台没有应答，已经 {how_long.zh}", f"the platform has not answered for {how_long.en}"),
        DeciderVerdict.WAITS,
        since,
        next=Said("每 5 秒试一次，通了就自动继续", "it is tried every five seconds, and goes on by itself"),
        next_time=case.now + PROBE,
        action=Said("看平台公告和本机网络", "see the platform's notices and this machine's network"),
    )


def attempt(case: Case) -> Decider:
    """What the last call came to."""
    channel = case.channel
    needs = channel.said.needs_by_name if channel is not None and channel.said is not None else {}
    for name in (_AUTHORIZE, "credentials", "report", "reports", "other"):
        if name in needs and channel is not None:
            return _needs_a_person(channel, name, needs[name])
    refused = _refused(case)
    if refused is not None:
        return refused
    if case.push is not None and case.push.unknown_since is not None:
        return _unknown(case, case.push)
    if case.failing and case.needs_change:
        return _failing(case, case.failing)
    return _last_call(case)


def _needs_a_person(channel: ChannelThen, name: str, said: str) -> Decider:
    if name == _AUTHORIZE:
        text = Said(f"平台不认授权了，要卖家重新授权：{said}", f"the platform refuses our tokens: {said}")
        action = Said(
            f"让卖家重新授权，再 stockgate channel credentials {channel.channel}",
            f"have the seller authorise again, then stockgate channel credentials {channel.channel}",
        )
    elif name == "credentials":
        text = Said(f"网关给不出凭证：{said}", f"the gateway hands out no credentials: {said}")
        action = Said("检查 STOCKGATE_CREDENTIALS_KEY 和凭证", "see STOCKGATE_CREDENTIALS_KEY and the credentials")
    else:
        text = Said(f"连接器要人处理：{said}", f"the connector needs somebody: {said}")
        action = Said("看连接器的日志", "see the connector's log")
    since = channel.since.get("needs") or channel.record_time
    return Decider(DeciderKind.ATTEMPT, text, DeciderVerdict.BLOCKS, since, action=action)


def _refused(case: Case) -> Decider | None:
    """The listing is parked because the platform will not have a change."""
    last = case.last_settled
    if not case.state.parked_reason or last is None or last.result is not PushResult.REFUSED:
        return None
    listing_id = case.listing.listing_id
    return replace(
        _with_call(case, Decider(DeciderKind.ATTEMPT, NOTHING, DeciderVerdict.BLOCKS, last.settle_time)),
        text=Said(
            f"平台拒绝改这个商品：{case.state.parked_reason}",
            f"the platform refuses to change it: {case.state.parked_reason}",
        ),
        evidence=(row("push", last.push_id),),
        action=Said(
            f"在平台后台处理好，再 stockgate listing resync {listing_id}",
            f"set it right at the platform, then stockgate listing resync {listing_id}",
        ),
    )


def _unknown(case: Case, push: Push) -> Decider:
    assert push.unknown_since is not None, "one whose outcome is unknown"
    late_ms = case.situation.channels[case.listing.channel].facts.apply_late_ms
    due = push.unknown_since + timedelta(milliseconds=late_ms)
    left = lasting(due - case.now)
    following = (
        Said(f"{left.zh}后读一次，以读到的为准", f"it is read in {left.en}, and what is read then counts")
        if due > case.now
        else Said("正在读平台，以读到的为准", "it is being read; what is read then counts")
    )
    return replace(
        _with_call(case, Decider(DeciderKind.ATTEMPT, NOTHING, DeciderVerdict.WAITS, push.unknown_since)),
        text=Said(
            f"第 {push.push_id} 号改动发出去了，平台没有回答，不知道生效没有",
            f"push {push.push_id} was sent and not answered: nobody knows whether it was applied",
        ),
        evidence=(row("push", push.push_id), *_call_rows(case)),
        next=following,
        next_time=due if due > case.now else None,
    )


def _failing(case: Case, failing: tuple[PushRecord, ...]) -> Decider:
    last, first = failing[0], failing[-1]
    why = last.error or "?"
    return replace(
        _with_call(case, Decider(DeciderKind.ATTEMPT, NOTHING, DeciderVerdict.WAITS, first.create_time)),
        text=Said(
            f"最近 {len(failing)} 次改动都没有成功：{why}", f"the last {len(failing)} changes came to nothing: {why}"
        ),
        evidence=tuple(row("push", one.push_id) for one in failing[:5]),
        next=Said("自动再试，间隔越来越长，最多 10 秒", "it is tried again by itself, ever later, ten seconds at most"),
    )


def _last_call(case: Case) -> Decider:
    call, last = _attempt_of(case), case.last_settled
    if call is not None and case.push is not None and call.push_id == case.push.push_id and call.outcome in _BAD:
        return replace(
            _with_call(case, Decider(DeciderKind.ATTEMPT, NOTHING, DeciderVerdict.WAITS, call.begin_time)),
            text=Said(f"上一次调用没有成功：{_words(call)}", f"the last call did not succeed: {_words(call)}"),
            evidence=_call_rows(case),
            next=Said("自动再试", "it is tried again by itself"),
        )
    if last is None or last.settle_time is None:
        return Decider(DeciderKind.ATTEMPT, Said("还没有调用过平台", "the platform was not called yet"))
    age = lasting(case.now - last.settle_time)
    found = Decider(
        DeciderKind.ATTEMPT,
        Said(
            f"上一次改动（第 {last.push_id} 号）{age.zh}前结束，平台改了 {last.applied or 0}",
            f"the last change (push {last.push_id}) ended {age.en} ago; the platform moved {last.applied or 0}",
        ),
        since=last.settle_time,
        evidence=(row("push", last.push_id), *_call_rows(case)),
        traceparent=last.traceparent or "",
    )
    return _with_call(case, found)


_BAD = {AttemptOutcome.NOT_APPLIED, AttemptOutcome.UNKNOWN, AttemptOutcome.REFUSED, AttemptOutcome.NOT_SENT}


def _attempt_of(case: Case) -> Attempt | None:
    """The newest call, if it belongs to the change that is under way or to the last one."""
    call, last = case.attempt, case.last_settled
    ours = {one.push_id for one in (case.push, last) if one is not None}
    return call if call is not None and call.push_id in ours else None


def _call_rows(case: Case) -> tuple[EvidenceRow, ...]:
    call = _attempt_of(case)
    return (row("attempt", f"{call.push_id}/{call.number}"),) if call is not None else ()


def _with_call(case: Case, found: Decider) -> Decider:
    call = _attempt_of(case)
    if call is None:
        trace = case.push.traceparent if case.push is not None else found.traceparent
        return replace(found, traceparent=trace)
    return replace(found, traceparent=call.traceparent or found.traceparent, next_time=call.next_try_time)


def _words(call: Attempt) -> str:
    """Status, code and message, as far as there are any."""
    status = f"HTTP {call.http_status}" if call.http_status else ""
    asked = f"({call.platform_request_id})" if call.platform_request_id else ""
    return " ".join(part for part in (status, call.platform_code, call.message, asked) if part) or call.outcome.name


def _not_kept(kind: DeciderKind) -> Decider:
    text = Said("没有这方面的记录", "nothing is recorded of this")
    return Decider(kind, text, DeciderVerdict.UNKNOWN)
