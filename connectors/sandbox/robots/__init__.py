"""Group robots and a live room's message service, as servers that refuse what the real ones would refuse.

All four answer at one address, for their paths differ, and keep what they have accepted.
"""

from connectors.sandbox.robots.desk import Desk, Fault, Kept
from connectors.sandbox.robots.hall import Hall, HallSettings
from connectors.sandbox.robots.rates import Rate

__all__ = ["Desk", "Fault", "Hall", "HallSettings", "Kept", "Rate"]
