"""What bears on SKUs beside their sales, as it was read."""

from datetime import UTC, datetime

import msgspec
import pytest

from gateway.alerts.surroundings import Surroundings
from gateway.domain.profiles import Profile, SkuProfile
from gateway.domain.vigil import Key
from gateway.store.desk import DeskState
from gateway.store.standings import SkuFacts

NOW = datetime(2026, 11, 11, 20, 0, tzinfo=UTC)
SKUS = {"tea": SkuProfile(0.01, 1.0, 1.0, 90), "mug": SkuProfile(0.03, 1.0, 1.0, 270)}
HISTORY = Profile((1.0,) * 24, 0.1, 7, SKUS)
SOLD = ("tea", "new", "newer")


def around(profile: str, before: Surroundings | None = None) -> Surroundings:
    """What is known of three SKUs, two of which history does not know."""
    desk = DeskState({}, {}, (), (), (), profile, NOW)
    return Surroundings(desk, (), {sku: SkuFacts(sku, "", None, None, ()) for sku in SOLD}, (), NOW, before)


def test_whom_history_does_not_know_is_expected_to_sell_like_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worked out once for all strangers, for history may know very many; and taken over while it stays the same."""
    worked_out = 0
    stranger = Profile.stranger

    def count(profile: Profile) -> object:
        nonlocal worked_out
        worked_out += 1
        return stranger(profile)

    monkeypatch.setattr(Profile, "stranger", count)
    first = around(msgspec.json.encode(HISTORY).decode())
    for found in (first, around("", first)):
        rates = [found.circumstances(Key(sku)).prior.rate for sku in SOLD]
        assert rates == [0.01, 0.02, 0.02]
        assert [found.circumstances(Key(sku)).is_known for sku in SOLD] == [True, False, False]
    assert worked_out == 1
