"""What a connector's process logs, as one line per record on standard error."""

import logging

# What a record of the logging module has of its own; everything else is a field of ours.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class FieldsFormatter(logging.Formatter):
    """A record as one line: time, level, message, then its fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback if there is one."""
        fields = " ".join(f"{name}={value!r}" for name, value in vars(record).items() if name not in _OWN)
        first, newline, rest = super().format(record).partition("\n")
        return f"{first} {fields}{newline}{rest}" if fields else first + newline + rest


def log_to_stderr() -> None:
    """From now on: our own from INFO on, everybody else's from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldsFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("connectors").setLevel(logging.INFO)
