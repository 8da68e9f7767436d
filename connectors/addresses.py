"""Addresses that people type in: whether anything can be called there at all, and whether it is on this machine."""

from collections.abc import Collection
from urllib.parse import urlsplit

HTTP, WEBSOCKET = frozenset({"http", "https"}), frozenset({"ws", "wss"})
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
LABEL_LENGTH_MAX = 63


def is_address(url: str, schemes: Collection[str] = HTTP) -> bool:
    """True if it names a host, and a port there may be; what else is in it is for the host to know."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url
    labels = host.removesuffix(".").split(".")
    return (
        is_plain and parts.scheme in schemes and port != 0 and all(0 < len(one) <= LABEL_LENGTH_MAX for one in labels)
    )


def is_local(url: str) -> bool:
    """True if it is on this machine, where nobody is asked through a proxy."""
    return urlsplit(url).hostname in LOCAL_HOSTS
