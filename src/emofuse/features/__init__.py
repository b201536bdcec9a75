"""Features: one function from a file and a recipe to arrays, and a store that keeps what was computed."""

from emofuse.features.extraction import extract, extract_takes

__all__ = ["extract", "extract_takes"]
