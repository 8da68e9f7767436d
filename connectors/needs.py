"""What a person must do for a channel to go on: said in the heartbeat until it is done."""

import logging

from connectors.attempts import one_line

log = logging.getLogger(__name__)

WORDS_MAX = 200


def words(text: str) -> str:
    """A platform's or the gateway's words, fit for a log and a screen: one line, not too long."""
    return one_line(text, WORDS_MAX)


class Needs:
    """One channel's troubles, by name; said in the log when they come and when they go."""

    def __init__(self, channel: str) -> None:
        """There are none."""
        self._channel = channel
        self._texts: dict[str, str] = {}

    def want(self, name: str, text: str) -> None:
        """Remember a trouble, instead of an older one of that name."""
        text = words(text)
        if self._texts.get(name) != text:
            self._texts[name] = text
            log.warning("somebody is needed", extra={"channel": self._channel, "about": name, "said": text})

    def settle(self, name: str) -> None:
        """It is over."""
        if self._texts.pop(name, None) is not None:
            log.info("nobody is needed any more", extra={"channel": self._channel, "about": name})

    @property
    def text(self) -> str:
        """All of them; "" if there are none."""
        return "; ".join(f"{name}: {text}" for name, text in sorted(self._texts.items()))
