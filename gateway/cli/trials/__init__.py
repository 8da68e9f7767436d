"""Policies of warning, judged on the orders of a real log: what is asked of each, how it is judged, what it scores."""
