"""How one SKU is divided among its listings, as a person has said it (R29)."""

from enum import IntEnum

from msgspec import Struct

from gateway.domain.errors import InvalidArgument, QuantityOverflow
from gateway.domain.stock import UNITS_MAX

SHARES_MAX = 100
# Shares are multiplied with quantities: the product must fit 64 bits.
WEIGHT_MAX = 1_000


class PolicyKind(IntEnum):
    """The way a SKU is divided. The numbers are those of the proto and are stored."""

    BY_DEMAND = 1
    WEIGHTED = 2
    FIXED = 3
    PRIORITY = 4
    EXCLUSIVE = 5
    SHARED = 6


# These divide among the channels they name, and nobody else: without a name nothing would be sold.
_NAMES_CHANNELS = {PolicyKind.WEIGHTED, PolicyKind.FIXED, PolicyKind.PRIORITY, PolicyKind.EXCLUSIVE}


class ChannelShare(Struct, frozen=True, array_like=True, gc=False):
    """What a policy says of one channel: a weight or a quota in units; the most it may show in units, None: any."""

    channel: str
    share: int = 0
    cap: int | None = None


class Policy(Struct, frozen=True, array_like=True, gc=False):
    """How one SKU is divided; stored as a JSON array, so new fields go to the END with a default. Numbers in units."""

    sku: str
    kind: PolicyKind = PolicyKind.BY_DEMAND
    shares: tuple[ChannelShare, ...] = ()
    stop_at: int = 0
    shown_min: int = 0
    buffer: int = 0
    escrow_below: int = 0


def require_sound(policy: Policy) -> None:
    """Raise `InvalidArgument` or `QuantityOverflow` for a policy that cannot be meant."""
    if len(policy.shares) > SHARES_MAX:
        raise InvalidArgument(f"at most {SHARES_MAX} channels may be named", field="policy.shares")
    if policy.kind in _NAMES_CHANNELS and not policy.shares:
        raise InvalidArgument(f"a {policy.kind.name} policy names at least one channel", field="policy.shares")
    seen: set[str] = set()
    for place, share in enumerate(policy.shares):
        if share.channel in seen:
            raise InvalidArgument(f"channel {share.channel} is named twice", field=f"policy.shares[{place}].channel")
        seen.add(share.channel)
        _require_share(policy.kind, share, f"policy.shares[{place}]")
    for name in ("stop_at", "shown_min", "buffer", "escrow_below"):
        _require_units(getattr(policy, name), f"policy.{name}")
    for name in ("buffer", "escrow_below"):
        if getattr(policy, name) and policy.kind is not PolicyKind.SHARED:
            raise InvalidArgument(
                f"{name} is for a SHARED policy, and this is {policy.kind.name}", field=f"policy.{name}"
            )


def _require_share(kind: PolicyKind, share: ChannelShare, path: str) -> None:
    if share.cap is not None:
        _require_units(share.cap, f"{path}.cap")
    if kind is PolicyKind.WEIGHTED and not 1 <= share.share <= WEIGHT_MAX:
        raise InvalidArgument(f"a weight is 1 to {WEIGHT_MAX}, not {share.share}", field=f"{path}.share")
    _require_units(share.share, f"{path}.share")


def _require_units(value: int, field: str) -> None:
    name = field.rpartition(".")[2]
    if value < 0:
        raise InvalidArgument(f"{name} is {value}; it must be 0 or more", field=field)
    if value > UNITS_MAX:
        raise QuantityOverflow(
            f"{name} is {value}; at most {UNITS_MAX} units are kept", field=field, units_max=UNITS_MAX
        )
