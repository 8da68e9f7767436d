"""The rules of stock. Pure: no I/O, no clock, no logging, no randomness."""
