"""The leakage audit: one recipe under protocols that flatter it and under one that does not.

Everything here that selects on test clips does so on purpose, to show what that is worth. Nothing but the
command ``emofuse leak`` imports it, so that no honest figure can come by it.
"""
