"""Connectors: agents that keep a platform's stock numbers and orders in step with the gateway.

They know the platforms' protocols and nothing of the ledger; the two meet in `proto/` only.
"""
