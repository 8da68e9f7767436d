"""Kuaishou shop (kwaishop): signed forms over HTTP, stock by differences only, orders by cursor, encrypted hints.

Facts are from the official documentation at open.kwaixiaodian.com and Kuaishou's own demo (kwaishopTradePlatform); the
shapes of requests and answers from the official types as restated in kuaishou-merchant-open-api 1.0.1.
"""

from connectors.kuaishou.platform import Kuaishou
from connectors.kuaishou.pushes import is_message_secret
from connectors.kuaishou.requests import Credentials, Requests
from connectors.kuaishou.signing import SignMethod

__all__ = ["Credentials", "Kuaishou", "Requests", "SignMethod", "is_message_secret"]
