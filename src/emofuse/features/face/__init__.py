"""Frames become the arrays that face networks read."""
