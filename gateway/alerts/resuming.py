"""Points of the alert log to resume after: which are good, and what is said of those that are not (G4)."""

from gateway.domain.errors import EpochMismatch, RevisionCompacted, RevisionFromFuture
from gateway.store.alert_log import AlertHead


def require_lineage(head: AlertHead, revision: int, epoch: str, *, at: str) -> None:
    """Raise `EpochMismatch` or `RevisionFromFuture` unless this log has been there; `at`: the field's path."""
    path = f"{at}." if at else ""
    if epoch != head.epoch:
        raise EpochMismatch(
            "this revision belongs to another lineage of the database; start with a snapshot",
            field=f"{path}epoch",
            epoch=head.epoch,
        )
    if revision > head.revision:
        raise RevisionFromFuture(
            f"revision {revision} lies beyond the log's head; start with a snapshot",
            field=f"{path}revision",
            revision=head.revision,
        )


def compacted(head: AlertHead, revision: int) -> RevisionCompacted:
    """What is said when not everything after this revision is kept."""
    return RevisionCompacted(
        f"what follows revision {revision} is no longer kept; start with a snapshot",
        field="after.revision",
        compact_revision=head.compact_revision,
        current_revision=head.revision,
    )
