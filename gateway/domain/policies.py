"""How one SKU is divided among its listings, as a person has said it (R29)."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeVar

from msgspec import Struct

from gateway.domain.errors import InvalidArgument, QuantityOverflow
from gateway.domain.stock import UNITS_MAX

Who = TypeVar("Who", int, str)

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
    """What a policy says of one channel: a weight, a quota or units of its own; the most units it may show, or None."""

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

    @property
    def own_units(self) -> int:
        """Of an EXCLUSIVE policy, the units that the first channel alone may sell; 0: it has all there are."""
        return self.shares[0].share if self.kind is PolicyKind.EXCLUSIVE and self.shares else 0


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


def divide_channels(
    policy: Policy, units: int, limits: Mapping[str, int], demand: Mapping[str, float], had: Mapping[str, int]
) -> dict[str, int]:
    """What each channel gets of one location's units, by its policy; `had` is what it gets elsewhere."""
    shares = {share.channel: share for share in policy.shares if share.channel in limits}
    match policy.kind:
        case PolicyKind.FIXED:
            wanted = {code: max(0, share.share - had[code]) for code, share in shares.items()}
        case PolicyKind.PRIORITY:
            wanted = dict.fromkeys(shares, units)
        case PolicyKind.EXCLUSIVE:
            first = policy.shares[0].channel
            wanted = {first: units} if first in limits else {}
        case PolicyKind.WEIGHTED:
            return apportion(units, {code: float(share.share) for code, share in shares.items()}, limits)
        case _:
            return apportion(units, demand, limits)
    parts = {}
    for code, most in wanted.items():
        parts[code] = min(units, limits[code], most)
        units -= parts[code]
    return parts


def apportion(units: int, weights: Mapping[Who, float], limits: Mapping[Who, int]) -> dict[Who, int]:
    """Whole units in proportion to the weights, none above its limit, none lost while a limit has room (R13).

    Shares round down; the rest goes to the heaviest. Never gives out more than `units`.
    """
    parts = dict.fromkeys(weights, 0)
    open_ones = {one for one, weight in weights.items() if weight > 0 and limits[one] > 0}
    while units > 0 and open_ones:
        total = sum(weights[one] for one in sorted(open_ones))
        given = 0
        for one in open_ones:
            part = min(int(units * weights[one] / total), limits[one] - parts[one])
            parts[one] += part
            given += part
        units -= given
        if not given:
            for one in sorted(open_ones, key=lambda each: (-weights[each], each)):
                parts[one] += 1
                units -= 1
                if not units:
                    break
        open_ones = {one for one in open_ones if parts[one] < limits[one]}
    return parts


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
