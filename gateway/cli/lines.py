"""`stockgate live line` and `stockgate live template ...`: what is said in a room."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import alert_words as words
from gateway.cli import arguments
from gateway.cli.attention import Actor
from gateway.cli.client import Caller, RequestId, gateway_command
from gateway.cli.errors import EXIT_FAILED
from gateway.cli.hints import SessionNumber
from gateway.cli.output import Column, document, number, print_document, print_table, say
from gateway.v1 import live_service_pb2 as pb

app = typer.Typer()
template_app = typer.Typer(no_args_is_help=True, help="What is said: one template per intent, tier and language.")

TEMPLATE_COLUMNS = (
    Column("template"),
    Column("intent", worth=4),
    Column("tier", worth=3),
    Column("language", worth=2),
    Column("when stale", worth=5),
    Column("whose", worth=1),
    Column("variants", worth=6),
)
# In the place of a tier, as in the names of templates.
STALE = "stale"

Intent = Annotated[
    str,
    typer.Argument(metavar="INTENT", help="HOST, CHAT, STOCK, RESTOCK or SUBSTITUTE.", show_default=False),
]
Tier = Annotated[
    str,
    typer.Argument(
        metavar="TIER|stale", help="The tier it is for; stale: for when knowledge is old.", show_default=False
    ),
]
Variants = Annotated[
    list[str],
    typer.Argument(
        metavar="TEXT...",
        help="The words; several take turns. Variables: {title} {sellable} {minutes} {restock} {substitute} {tier}.",
        show_default=False,
    ),
]
Language = Annotated[str, typer.Option("--language", metavar="zh-CN|en", help="Of the words.")]


@gateway_command(app)
def line(
    caller: Caller,
    session_id: SessionNumber,
    sku: Annotated[str, typer.Argument(metavar="SKU", help="What is asked for.", show_default=False)],
    intent: Annotated[str, typer.Argument(metavar="INTENT", help="STOCK, RESTOCK or SUBSTITUTE.", show_default=False)],
    viewer: Annotated[str, typer.Option("--viewer", metavar="NAME", help="Who asks; it is not kept.")] = "",
    language: Annotated[str, typer.Option("--language", metavar="zh-CN|en", help="Of the line; else zh-CN.")] = "",
    drill: Annotated[int, typer.Option("--drill", metavar="NUMBER", min=0, help="It belongs to this drill.")] = 0,
) -> None:
    """Take a line to answer the chat with. Exit code 1 if nothing is to be said now."""
    request = pb.TakeLineRequest(
        session_id=session_id, sku=sku, intent=intent.upper(), viewer=viewer, language=language, drill_id=drill
    )
    response = caller.ask(caller.live.TakeLine, request)
    if caller.as_json:
        print_document(document(response))
    elif response.text:
        say(response.text)
    else:
        reason = response.quiet_reason.lower().replace("_", " ")
        say(f"Say nothing now ({reason}); ask again in {response.retry_after_ms / 1000:g} s.", style="dim")
    if not response.text:
        raise typer.Exit(EXIT_FAILED)


@gateway_command(template_app, name="set")
def set_template(
    caller: Caller,
    intent: Intent,
    tier: Tier,
    variants: Variants,
    actor: Actor,
    request_id: RequestId,
    language: Language = "zh-CN",
) -> None:
    """Store a template of your own; for the chat at least three variants."""
    template = _template(intent, tier, variants, language)
    request = pb.SetTemplateRequest(request_id=request_id, template=template, actor=actor)
    _show_template(caller, caller.ask(caller.live.SetTemplate, request), request_id)


@gateway_command(template_app)
def preview(
    caller: Caller,
    intent: Intent,
    tier: Tier,
    variants: Variants,
    session: Annotated[
        int, typer.Option("--session", metavar="NUMBER", min=0, help="With the numbers of this session.")
    ] = 0,
    sku: Annotated[str, typer.Option("--sku", metavar="CODE", help="With the numbers of this SKU.")] = "",
    language: Language = "zh-CN",
) -> None:
    """Show what a template would say; nothing is stored. Without --session with made-up numbers."""
    template = _template(intent, tier, variants, language)
    request = pb.PreviewTemplateRequest(template=template, session_id=session, sku=sku)
    response = caller.ask(caller.live.PreviewTemplate, request)
    if caller.as_json:
        print_document(document(response))
        return
    for each in response.lines:
        say(each)


@gateway_command(template_app)
def reset(
    caller: Caller,
    template_id: Annotated[
        str, typer.Argument(metavar="TEMPLATE", help="As `live template list` names it.", show_default=False)
    ],
    actor: Actor,
    request_id: RequestId,
) -> None:
    """Go back to the built-in template."""
    request = pb.DeleteTemplateRequest(request_id=request_id, template_id=template_id, actor=actor)
    _show_template(caller, caller.ask(caller.live.DeleteTemplate, request), request_id)


@gateway_command(template_app, name="list")
def list_templates(
    caller: Caller,
    language: Annotated[str, typer.Option("--language", metavar="zh-CN|en", help="Only these; else both.")] = "",
) -> None:
    """Show what is said: your own templates, and the built-in where there is none."""
    response = caller.ask(caller.live.ListTemplates, pb.ListTemplatesRequest(language=language))
    if caller.as_json:
        print_document(document(response))
        return
    print_table(TEMPLATE_COLUMNS, [_row(each) for each in response.templates], "No templates.")


def _template(intent: str, tier: str, variants: list[str], language: str) -> pb.LineTemplate:
    template = pb.LineTemplate(intent=intent.upper(), language=language, variants=variants)
    if tier.strip().lower() == STALE:
        template.is_stale = True
    else:
        template.tier = arguments.tier(tier)
    return template


def _show_template(
    caller: Caller, response: pb.SetTemplateResponse | pb.DeleteTemplateResponse, request_id: str
) -> None:
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    template = response.template
    whose = "built-in" if template.is_built_in else "your own"
    say(f"{template.template_id} ({whose})", style="bold")
    for place, variant in enumerate(template.variants, start=1):
        say(f"  {number(place)}. {variant}")


def _row(template: pb.LineTemplate) -> tuple[str | int, ...]:
    return (
        template.template_id,
        template.intent,
        words.tier_word(template.tier),
        template.language,
        template.is_stale,
        "built-in" if template.is_built_in else "your own",
        "\n".join(template.variants),
    )
