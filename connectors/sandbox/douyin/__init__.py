"""Douyin's open platform as a local server, close enough for the official SDK's clients to accept it as the real one.

What no source says about the platform is a choice, and stands in `DouyinSettings` with its default.
"""

from connectors.sandbox.douyin.server import DouyinSandbox
from connectors.sandbox.douyin.settings import DouyinSettings

__all__ = ["DouyinSandbox", "DouyinSettings"]
