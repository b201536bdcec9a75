"""Drawn faces and synthetic voices."""
