"""`stockgate explain`: why a listing shows what it shows, in one command."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import set_cell_size
from rich.text import Text

from gateway.cli import arguments
from gateway.cli.client import Caller, gateway_command
from gateway.cli.output import ago, console, document, local_time, print_document
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb

app = typer.Typer()
Lang = Annotated[str, typer.Option("--lang", metavar="zh|en", help="The language; zh unless LANG says English.")]

_OK = operations_pb2.DECIDER_VERDICT_OK
# A mark and a colour for each; the words say it too.
_MARKS = {
    operations_pb2.DECIDER_VERDICT_OK: ("✓", "green"),
    operations_pb2.DECIDER_VERDICT_WAITS: ("…", "yellow"),
    operations_pb2.DECIDER_VERDICT_BLOCKS: ("✗", "red"),
    operations_pb2.DECIDER_VERDICT_UNKNOWN: ("?", "dim"),
    operations_pb2.DECIDER_VERDICT_DECIDES: ("=", "cyan"),
}
_WORDS = {
    "LEDGER": ("账本", "ledger"),
    "RESERVATIONS": ("预占", "reservations"),
    "ALLOCATOR": ("分配", "allocator"),
    "POLICY": ("策略", "policy"),
    "EXPOSURE": ("占额", "exposure"),
    "GUARD": ("闸门", "guard"),
    "PUSH": ("改动", "push"),
    "DELIVERY": ("送达", "delivery"),
    "RATE_LIMIT": ("限流", "rate limit"),
    "BREAKER": ("熔断", "breaker"),
    "ATTEMPT": ("调用", "attempt"),
    "READING": ("读数", "reading"),
    "ORDERS": ("订单", "orders"),
    "RECONCILIATION": ("对账", "reconciliation"),
    "OK": ("正常", "ok"),
    "WAITS": ("在等", "waits"),
    "BLOCKS": ("卡住", "stops"),
    "UNKNOWN": ("不详", "unknown"),
    "DECIDES": ("由它定", "decides"),
    "IN_STEP": ("一致", "in step"),
    "IN_FLIGHT": ("在路上", "in flight"),
    "DELAYED": ("迟了", "delayed"),
    "BLOCKED": ("卡住了", "blocked"),
    "DRIFTED": ("对不上", "drifted"),
    "PLATFORM_CACHED": ("平台没刷新", "platform cached"),
    "RULE_INTENDED": ("规则如此", "as the rules want it"),
    "evidence": ("依据", "evidence"),
    "trace": ("链路", "trace"),
    "next": ("接下来", "next"),
    "action": ("可以做", "to do"),
    "since": ("起于", "since"),
}
_WIDTH_COLUMNS = 15


@gateway_command(app)
def explain(
    caller: Caller,
    sku: Annotated[str, typer.Option("--sku", metavar="CODE", help="The SKU.")] = "",
    channel: Annotated[str, typer.Option("--channel", metavar="CODE", help="The channel.")] = "",
    listing: Annotated[
        int, typer.Option("--listing", metavar="NUMBER", min=0, help="One listing, where a channel has several.")
    ] = 0,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="As of a past time: ISO 8601, or how long ago, as in 15m.")
    ] = "",
    lang: Lang = "",
) -> None:
    """Show why a channel shows what it shows: every station from the ledger to the platform, and the cause."""
    if not listing and not (sku and channel):
        raise typer.BadParameter("say --sku and --channel, or --listing")
    request = pb.ExplainListingRequest(sku=sku, channel=channel, listing_id=listing)
    if at:
        request.at.CopyFrom(arguments.timestamp(at))
    place = place_of(lang)
    response = caller.ask(caller.operations.ExplainListing, request)
    if caller.as_json:
        print_document(document(response))
        return
    for one in response.explanations:
        _show(one, place)


def place_of(lang: str) -> int:
    """0 for Chinese, 1 for English. Raises `typer.BadParameter`."""
    if lang not in {"", "zh", "en"}:
        raise typer.BadParameter(f"{lang!r} is none of zh and en")
    return int((lang or os.environ.get("LANG", "")).startswith("en"))


def _show(explanation: operations_pb2.Explanation, place: int) -> None:
    terminal, listing = console(), explanation.listing
    verdict = operations_pb2.ExplanationVerdict.Name(explanation.verdict).removeprefix("EXPLANATION_VERDICT_")
    head = Text(f"{explanation.sku} · {listing.channel} · {listing.item_id} · #{listing.listing_id}  ", style="bold")
    head.append(f"[{_word(verdict, place)}]", style="reverse")
    head.append(f"  {local_time(explanation.as_of)} · revision {explanation.revision}", style="dim")
    terminal.print(head, soft_wrap=True)
    terminal.print(Text((explanation.headline, explanation.headline_en)[place], style="bold"), soft_wrap=True)
    for decider in explanation.deciders:
        is_cause = decider.kind == explanation.cause
        for line in _lines(decider, place, is_cause=is_cause, now=explanation.as_of.ToDatetime(UTC)):
            terminal.print(line, soft_wrap=True)
    terminal.print()


def _lines(decider: operations_pb2.Decider, place: int, *, is_cause: bool, now: datetime) -> list[Text]:
    """A station in one line; what is not fine with all that is known of it."""
    mark, colour = _MARKS[decider.verdict]
    kind = operations_pb2.DeciderKind.Name(decider.kind).removeprefix("DECIDER_KIND_")
    verdict = operations_pb2.DeciderVerdict.Name(decider.verdict).removeprefix("DECIDER_VERDICT_")
    line = Text("▶ " if is_cause else "  ", style="bold")
    line.append(f"{decider.kind:>2} {mark} ", style=colour)
    line.append(set_cell_size(_word(kind, place), _WIDTH_COLUMNS), style="bold" if is_cause else "")
    line.append(set_cell_size(_word(verdict, place), 8), style=colour)
    line.append((decider.text, decider.text_en)[place], style="bold" if is_cause else "")
    if decider.verdict == _OK:
        return [line]
    said = {
        "since": _since(decider.since, now),
        "evidence": ", ".join(f"{one.kind} {one.id}" for one in decider.evidence),
        "trace": decider.trace_id,
        "next": (decider.next, decider.next_en)[place],
        "action": (decider.action, decider.action_en)[place],
    }
    more = [Text(f"      {_word(name, place)}: {text}", style="dim") for name, text in said.items() if text]
    return [line, *more]


def _since(since: Timestamp, now: datetime) -> str:
    return f"{local_time(since)} ({ago(since, now)})" if since.seconds else ""


def _word(name: str, place: int) -> str:
    return _WORDS[name][place]
