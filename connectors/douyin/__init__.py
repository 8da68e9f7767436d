"""Douyin shop (抖店): its open platform's calls, orders and pushes as a `Platform`.

Protocol facts come from the official generated Go SDK, from the official base error codes (guide-docs/212/1427) and
from the official push pages (guide-docs/153/99, 10/99, 215/1977). What none of them says is marked as our reading.
"""

from connectors.douyin.platform import Douyin
from connectors.douyin.requests import Credentials
from connectors.douyin.signing import SignMethod

__all__ = ["Credentials", "Douyin", "SignMethod"]
