"""The leakage audit: one recipe under protocols that flatter it and under one that does not.

Whatever selects on test clips here does so on purpose, to measure how much that flatters. Nothing but the
command ``emofuse leak`` imports this package, so that no honest figure can come from it.
"""
