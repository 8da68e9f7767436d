"""What `stockgate learn` writes is taken; the table of bad requests has what is not."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.profiles import Sale, learned
from gateway.rpc.demand_profiles import require_sound

SALES = st.builds(
    Sale,
    time=st.floats(0, 4e9),
    sku=st.sampled_from(["tea", "mug", "茶"]),
    quantity=st.integers(1, 1_000_000),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(SALES, min_size=1, max_size=60))
def test_whatever_was_learned_is_taken(sales: list[Sale]) -> None:
    """Of one order or many, of one day or of a century: its JSON is sound, and comes back as it was."""
    profile = learned(sales)
    assert require_sound(msgspec.json.encode(profile).decode()) == profile
