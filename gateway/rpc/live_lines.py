"""LiveService: lines for the chat, and the templates they are made from."""

from typing import Any

from gateway.domain.errors import InvalidArgument
from gateway.domain.lines import LANGUAGES, QUESTIONS, VARIANTS_MAX, Template
from gateway.domain.phrases import ZH
from gateway.domain.tiers import Tier
from gateway.live.lines import Asked, DeleteTemplate, SetTemplate
from gateway.rpc import live_parsing, parsing
from gateway.rpc.rendering import timestamp
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import live_service_pb2 as pb

VIEWER_LENGTH_MAX = 128


async def take_line(call: Call, request: pb.TakeLineRequest) -> pb.TakeLineResponse:
    """Take a line to answer the chat with."""
    if request.intent not in QUESTIONS:
        raise InvalidArgument(f"intent is one of {', '.join(QUESTIONS)}", field="intent")
    if len(request.viewer) > VIEWER_LENGTH_MAX:
        raise InvalidArgument(f"viewer has up to {VIEWER_LENGTH_MAX} characters", field="viewer")
    line = await call.merchant.live.lines.take(
        Asked(
            live_parsing.session_id(request.session_id),
            parsing.code(request.sku, "sku"),
            request.intent,
            request.viewer,
            _language(request.language) or ZH,
            live_parsing.number(request.drill_id, "drill_id", "as StartDrill answered", or_none=True),
        )
    )
    response = pb.TakeLineResponse(
        text=line.text,
        quiet_reason=line.quiet_reason,
        retry_after_ms=line.retry_after_ms,
        template_id=line.template_id,
        revision=line.revision,
    )
    if line.expire_time is not None:
        response.expire_time.CopyFrom(timestamp(line.expire_time))
    return response


async def set_template(call: Call, request: pb.SetTemplateRequest) -> pb.SetTemplateResponse:
    """Store a template."""
    asked = SetTemplate(_template(request.template), live_parsing.name(request.actor, "actor"))
    response = pb.SetTemplateResponse()
    found = await call.merchant.live.lines.set_template(parsing.request_id(request.request_id), asked)
    _fill(response.template, found)
    return response


async def delete_template(call: Call, request: pb.DeleteTemplateRequest) -> pb.DeleteTemplateResponse:
    """Go back to the built-in template."""
    asked = DeleteTemplate(parsing.code(request.template_id, "template_id"), live_parsing.name(request.actor, "actor"))
    response = pb.DeleteTemplateResponse()
    _fill(
        response.template,
        await call.merchant.live.lines.delete_template(parsing.request_id(request.request_id), asked),
    )
    return response


async def list_templates(call: Call, request: pb.ListTemplatesRequest) -> pb.ListTemplatesResponse:
    """List the merchant's templates, and the built-in where there is none."""
    response = pb.ListTemplatesResponse()
    for template in await call.merchant.live.lines.templates(_language(request.language)):
        _fill(response.templates.add(), template)
    return response


async def preview_template(call: Call, request: pb.PreviewTemplateRequest) -> pb.PreviewTemplateResponse:
    """Show what a template would say."""
    session_id = live_parsing.session_id(request.session_id, or_none=True)
    sku = parsing.code(request.sku, "sku") if session_id else parsing.optional_code(request.sku, "sku")
    lines = await call.merchant.live.lines.preview(_template(request.template), session_id, sku)
    return pb.PreviewTemplateResponse(lines=lines)


# ---- parts of requests


def _language(value: str) -> str:
    if value and value not in LANGUAGES:
        raise InvalidArgument(f"language is one of {', '.join(LANGUAGES)}", field="language")
    return value


def _template(m: pb.LineTemplate) -> Template:
    if len(m.variants) > VARIANTS_MAX:
        raise InvalidArgument(f"at most {VARIANTS_MAX} variants are kept", field="template.variants")
    tier = None
    if not m.is_stale:
        try:
            tier = Tier(int(m.tier))
        except ValueError:
            raise InvalidArgument("tier is missing, or none there is", field="template.tier") from None
    elif m.tier:
        raise InvalidArgument("while knowledge is old no tier is known: leave it out", field="template.tier")
    return Template(m.intent, m.language, tuple(m.variants), tier)


def _fill(m: Any, template: Template) -> None:
    m.intent, m.language = template.intent, template.language
    m.tier = template.tier or 0
    m.variants.extend(template.variants)
    m.is_built_in, m.is_stale, m.template_id = template.is_built_in, template.tier is None, template.template_id


METHODS: dict[str, Unary | Streaming] = {
    "TakeLine": take_line,
    "SetTemplate": set_template,
    "DeleteTemplate": delete_template,
    "ListTemplates": list_templates,
    "PreviewTemplate": preview_template,
}
