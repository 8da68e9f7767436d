"""What Douyin signs, to the byte. The official checker is op.jinritemai.com/docs/guide-docs/gen-sign."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from enum import StrEnum


class SignMethod(StrEnum):
    """HMAC-SHA256 is what the official SDK sends; MD5 is what a request without `sign_method` means."""

    HMAC_SHA256 = "hmac-sha256"
    MD5 = "md5"


def canonical(params: Mapping[str, object]) -> bytes:
    """`param_json`, signed and sent: keys sorted at every level, compact, raw UTF-8, nothing escaped for HTML."""
    return json.dumps(params, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def method_of(path: str) -> str:
    """The public `method` of a path: `/sku/syncStock` is `sku.syncStock`."""
    return path.removeprefix("/").replace("/", ".")


def request_sign(
    app_key: str, secret: str, *, method: str, param_json: bytes, timestamp: str, by: SignMethod, v: str = "2"
) -> str:
    """Lower hex; access_token, sign and sign_method are not signed. The secret wraps the text and keys the HMAC."""
    pattern = f"app_key{app_key}method{method}param_json".encode() + param_json + f"timestamp{timestamp}v{v}".encode()
    return _digest(secret, secret.encode() + pattern + secret.encode(), by)


def event_sign(app_key: str, secret: str, body: bytes, by: SignMethod = SignMethod.MD5) -> str:
    """The `event-sign` of a push over its raw body; lower hex. MD5 unless the seller's console says otherwise."""
    return _digest(secret, app_key.encode() + body + secret.encode(), by)


def _digest(secret: str, text: bytes, by: SignMethod) -> str:
    if by is SignMethod.MD5:
        return hashlib.md5(text, usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
