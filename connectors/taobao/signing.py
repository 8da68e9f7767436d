"""How a call to TOP is signed (open.taobao.com document 101617; TopUtils.cs of the official .NET SDK).

Every text parameter that is sent, in the query or in the body, except `sign` and those with an empty name or value; by
name in code-point order, as `namevalue` without separators, raw and in UTF-8. A raw body follows. The hash of that, in
upper-case hex.
"""

import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum


class SignMethod(StrEnum):
    """The hash. The .NET SDK has all three; the document describes the first two."""

    MD5 = "md5"
    HMAC = "hmac"
    HMAC_SHA256 = "hmac-sha256"


def sign(params: Mapping[str, str], secret: str, method: SignMethod, body: str = "") -> str:
    """The signature of a call with these parameters and, if one is posted, this raw body."""
    key, text = secret.encode(), (canonical(params) + body).encode()
    match method:
        case SignMethod.MD5:
            return hashlib.md5(key + text + key, usedforsecurity=False).hexdigest().upper()
        case SignMethod.HMAC:
            return hmac.new(key, text, hashlib.md5).hexdigest().upper()
        case SignMethod.HMAC_SHA256:
            return hmac.new(key, text, hashlib.sha256).hexdigest().upper()


def canonical(params: Mapping[str, str]) -> str:
    """The text that is hashed."""
    return "".join(name + value for name, value in sorted(params.items()) if name and value and name != "sign")
