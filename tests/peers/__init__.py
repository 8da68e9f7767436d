"""`make peers`: clients that other people wrote, against our sandboxes.

The sandbox and the connectors are of one hand, so what both have misread no test of theirs can see. A peer was written
by somebody else from the platform's own words; the sandbox that it can work with is the platform both sides mean.
"""
