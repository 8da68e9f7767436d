"""`stockgate live proposals|approve|decline`: what the system proposes, and what people make of it."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import alert_words as words
from gateway.cli import arguments
from gateway.cli.attention import Actor
from gateway.cli.client import Caller, RequestId, gateway_command
from gateway.cli.output import Column, document, local_time, print_document, print_table, say, word
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import say_more
from gateway.v1 import alert_pb2
from gateway.v1 import live_service_pb2 as pb

app = typer.Typer()

PROPOSAL_COLUMNS = (
    Column("proposal", is_number=True),
    Column("SKU"),
    Column("session", worth=3),
    Column("what"),
    Column("state"),
    Column("why", worth=6),
    Column("proposed", worth=2),
    Column("by", worth=7),
    Column("effect", worth=8),
)

ProposalNumber = Annotated[int, typer.Argument(metavar="PROPOSAL", min=1, help="Its number.", show_default=False)]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why.")]


@gateway_command(app)
def proposals(
    caller: Caller,
    session: Annotated[int, typer.Option("--session", metavar="NUMBER", min=0, help="Only of this session.")] = 0,
    state: Annotated[
        str,
        typer.Option("--state", metavar="STATE", help="open, approved, declined, done, failed or lapsed; else all."),
    ] = "",
    limit: Limit = 20,
) -> None:
    """Show what was proposed, newest first."""
    request = pb.ListProposalsRequest(session_id=session)
    if state:
        request.state = arguments.proposal_state(state)
    response = gathered(caller, caller.live.ListProposals, request, "proposals", limit)
    if caller.as_json:
        print_document(document(response))
        return
    print_table(PROPOSAL_COLUMNS, [_row(each) for each in response.proposals], "Nothing was proposed.")
    say_more(response.next_page_token, limit)


@gateway_command(app)
def approve(
    caller: Caller,
    proposal_id: ProposalNumber,
    actor: Actor,
    request_id: RequestId,
    quantity: Annotated[
        int, typer.Option("--quantity", metavar="UNITS", min=0, help="Fewer than proposed; else as proposed.")
    ] = 0,
    note: Note = "",
) -> None:
    """Approve a proposal: it is carried out. The first decision wins."""
    _decide(caller, proposal_id, actor, request_id, note, approve=True, quantity=quantity)


@gateway_command(app)
def decline(caller: Caller, proposal_id: ProposalNumber, actor: Actor, request_id: RequestId, note: Note = "") -> None:
    """Decline a proposal. The first decision wins."""
    _decide(caller, proposal_id, actor, request_id, note, approve=False)


def _decide(
    caller: Caller, proposal_id: int, actor: str, request_id: str, note: str, *, approve: bool, quantity: int = 0
) -> None:
    request = pb.DecideProposalRequest(
        request_id=request_id, proposal_id=proposal_id, approve=approve, quantity=quantity, actor=actor, note=note
    )
    response = caller.ask(caller.live.DecideProposal, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    proposal = response.proposal
    say(f"Proposal {proposal.proposal_id}, {proposal.sku}: {words.proposed(proposal)}", style="bold")
    said = f": {proposal.note}" if proposal.note else ""
    say(f"{_state(proposal)} by {proposal.actor}{said}")
    if proposal.effect:
        say(proposal.effect)


def _row(proposal: alert_pb2.Proposal) -> tuple[str | int, ...]:
    return (
        proposal.proposal_id,
        proposal.sku,
        str(proposal.session_id or ""),
        words.proposed(proposal),
        _state(proposal),
        "\n".join(line for line in (proposal.reason, proposal.reason_en) if line),
        local_time(proposal.propose_time),
        f"{proposal.actor}: {proposal.note}" if proposal.note else proposal.actor,
        proposal.effect,
    )


def _state(proposal: alert_pb2.Proposal) -> str:
    return word(alert_pb2.ProposalState.Name(proposal.state), "PROPOSAL_STATE_")
