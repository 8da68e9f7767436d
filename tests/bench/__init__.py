"""Benchmarks: `make bench` prints a table and writes bench.json; medians of figures taken side by side."""
