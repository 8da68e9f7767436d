"""Faults as inputs: races, kill -9, a database that is away, poison, expiry at the boundary, a full disk."""
