"""Taobao and Tmall, by the open platform's gateway (TOP) and its message channel (TMC)."""

from connectors.taobao.platform import Taobao
from connectors.taobao.requests import Credentials, Pace
from connectors.taobao.signing import SignMethod

__all__ = ["Credentials", "Pace", "SignMethod", "Taobao"]
