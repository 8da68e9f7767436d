"""How an agent behaves where the contract leaves it a choice."""

from dataclasses import dataclass, field
from datetime import timedelta

from connectors.transport import TransportLimits


@dataclass(frozen=True)
class AgentSettings:
    """One agent's paces and bounds."""

    limits: TransportLimits = field(default_factory=TransportLimits)

    # ---- pushes
    workers: int = 8
    # How often a lowering that the platform refuses as too large is cut to what it shows.
    lower_tries_max: int = 4
    # Pushes of one listing that come to nothing, one after the other, are reported ever later.
    fruitless_seconds: float = 0.25
    fruitless_seconds_max: float = 10.0

    # ---- orders
    poll_seconds: float = 2.0
    overlap_min: timedelta = timedelta(seconds=10)
    window_max: timedelta = timedelta(minutes=30)
    # The first walk begins so long before the channel was created.
    first_walk: timedelta = timedelta(hours=1)
    # An order that the gateway refuses is fetched and reported again after so long, then ever later.
    refused_order_seconds: float = 5.0
    refused_orders_max: int = 1_000

    # ---- readings
    round_seconds: float = 120.0
    reread_seconds: float = 0.5

    # ---- hints
    hint_seconds: float = 4.0
    hints_at_once: int = 16
    hints_waiting_max: int = 256
    messages_remembered_max: int = 10_000

    # ---- tokens
    refresh_early_seconds: float = 1_800.0
    # How often it is looked whether somebody has stored other credentials; also when a parked channel is tried again.
    credentials_seconds: float = 60.0

    # ---- the gateway
    heartbeat_seconds: float = 3.0
    progress_seconds: float = 3.0
    silence_seconds: float = 10.0
    backoff_seconds: float = 0.2
    backoff_seconds_max: float = 10.0
    # Another process serves the channel: it is taken over when that one has not been heard for so long.
    standby_seconds: float = 15.0
    # How often it is looked whether there are new channels.
    channels_seconds: float = 10.0

    stop_seconds: float = 5.0
