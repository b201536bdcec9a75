"""A bundle and an input become predictions."""
