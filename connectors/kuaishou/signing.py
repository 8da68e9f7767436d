"""Signatures of calls: what Kuaishou's "API call" page and its demo's signing code do."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum


class SignMethod(StrEnum):
    """The values of `signMethod`; the official page advises HMAC_SHA256."""

    HMAC_SHA256 = "HMAC_SHA256"
    MD5 = "MD5"


def sign(params: Mapping[str, str], sign_secret: str) -> str:
    """The `sign` of these parameters (all that is sent, raw values), by the method that `signMethod` names.

    Sorted `k=v` joined with `&`, then `&signSecret=...`; lower hex of MD5, or Base64 of HMAC-SHA256 under the secret.
    """
    pairs = [f"{name}={params[name]}" for name in sorted(params) if name != "sign"]
    text = "&".join([*pairs, f"signSecret={sign_secret}"]).encode()
    match SignMethod(params["signMethod"]):
        case SignMethod.MD5:
            return hashlib.md5(text, usedforsecurity=False).hexdigest()
        case SignMethod.HMAC_SHA256:
            return base64.b64encode(hmac.digest(sign_secret.encode(), text, "sha256")).decode()
