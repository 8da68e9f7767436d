"""Notifiers: what the gateway warns of, told to group robots and live rooms.

A notice is a copy, never the record. It may come late, twice or not at all, and nothing in the ledger depends on it;
so each carries the number of the change it tells of, and is claimed at the gateway before it is sent.
"""
