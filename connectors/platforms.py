"""From what the gateway keeps of a channel to the platform it is on."""

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

import msgspec

from connectors import douyin, kuaishou, taobao
from connectors.addresses import WEBSOCKET, is_address
from connectors.base import Platform, Tokens
from connectors.contract import PlatformName
from connectors.transport import Transport

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")
PlatformOf = Callable[[PlatformName, str, Transport, Tokens], Platform]


class BadCredentials(Exception):
    """The stored credentials are not what the platform needs; a person must store others. No secret is in the text."""


def platform_of(name: PlatformName, credentials_json: str, transport: Transport, tokens: Tokens) -> Platform:
    """The shop whose tokens these are.

    `credentials_json` has the fields of the platform's own `Credentials`; `base_url` says where the platform is, if not
    at its usual address. Raises `BadCredentials`.
    """
    match name:
        case PlatformName.TAOBAO:
            return taobao.Taobao(transport, _read(credentials_json, taobao.Credentials), tokens)
        case PlatformName.DOUYIN:
            return douyin.Douyin(transport, _read(credentials_json, douyin.Credentials), tokens)
        case PlatformName.KUAISHOU:
            credentials = _read(credentials_json, kuaishou.Credentials)
            # Who takes no pushes needs none.
            if credentials.message_secret and not kuaishou.is_message_secret(credentials.message_secret):
                raise BadCredentials("message_secret is not the Base64 of 16 bytes")
            return kuaishou.Kuaishou(transport, credentials, tokens)


def _read(credentials_json: str, kind: type[C]) -> C:
    """The credentials; a field nobody knows is a mistake that would else be found out much later."""
    known = {each.name for each in fields(kind)}
    try:
        content = msgspec.json.decode(credentials_json, type=dict[str, msgspec.Raw])
        if unknown := sorted(content.keys() - known):
            raise BadCredentials(f"credentials with fields that nobody knows: {', '.join(unknown)[:100]}")
        credentials = msgspec.json.decode(credentials_json, type=kind)
    except msgspec.ValidationError as error:
        place = str(error).rpartition(" - at ")[2] if " - at " in str(error) else str(error)
        raise BadCredentials(f"credentials that do not fit: {place[:200]}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadCredentials("credentials that are not a JSON object") from None
    if not is_address(getattr(credentials, "base_url", "")):
        raise BadCredentials("base_url is no http(s) address")
    if (url := getattr(credentials, "messages_url", "")) and not is_address(url, WEBSOCKET):
        raise BadCredentials("messages_url is no ws(s) address")
    return credentials
