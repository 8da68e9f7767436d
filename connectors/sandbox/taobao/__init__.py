"""Taobao's open platform as a local server: `/router/rest`, and the message channel's WebSocket at `/`."""

from connectors.sandbox.taobao.platform import TaobaoSandbox
from connectors.sandbox.taobao.refusals import Refusal
from connectors.sandbox.taobao.settings import Settings

__all__ = ["Refusal", "Settings", "TaobaoSandbox"]
