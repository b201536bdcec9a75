"""Folds become results, and results a report."""
