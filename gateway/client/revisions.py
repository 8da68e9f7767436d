"""That a stream keeps its promise: revisions rise, and where nothing is filtered out, none is missing."""

from gateway.client.errors import LogBroken


class Revisions:
    """Follows the revisions of one subscription over all its streams.

    `is_whole`: the stream has no filter, so that every revision must come. All methods raise `LogBroken`.
    """

    def __init__(self, *, is_whole: bool) -> None:
        """Nothing was seen yet."""
        self._is_whole = is_whole
        self._coalesced_to = 0
        self.seen: int | None = None

    def begin(self, revision: int) -> None:
        """What follows comes after this one."""
        self.seen = revision
        self._coalesced_to = 0

    def forget(self) -> None:
        """A snapshot comes next, and says where things stand."""
        self.seen = None
        self._coalesced_to = 0

    def event(self, revision: int) -> None:
        """An event has come."""
        assert self.seen is not None, "a stream begins with Created or a snapshot"
        is_next = revision == max(self.seen, self._coalesced_to) + 1
        if revision <= self.seen or (self._is_whole and not is_next and revision > self._coalesced_to):
            raise self._broken(revision, "an event")
        self.seen = revision

    def progress(self, revision: int) -> None:
        """Everything up to here that matches has come."""
        assert self.seen is not None, "a stream begins with Created or a snapshot"
        if revision < self.seen or (self._is_whole and revision > max(self.seen, self._coalesced_to)):
            raise self._broken(revision, "progress")
        self.seen = revision

    def passed_over(self, to_revision: int) -> None:
        """Up to here not everything will come."""
        self._coalesced_to = to_revision

    def _broken(self, revision: int, what: str) -> LogBroken:
        message = f"after revision {self.seen} came {what} with revision {revision}"
        return LogBroken(message, metadata={"after": str(self.seen), "revision": str(revision)})
