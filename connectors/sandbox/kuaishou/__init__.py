"""Kuaishou's open platform over a `Shop`: what its documentation says, and choices where it says nothing.

The platform has no public sandbox; this one is meant to be taken for it by any client that follows the documentation.
"""

from connectors.sandbox.kuaishou.server import KuaishouSandbox
from connectors.sandbox.kuaishou.settings import KuaishouSettings

__all__ = ["KuaishouSandbox", "KuaishouSettings"]
