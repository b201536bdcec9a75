"""Databases in audformat (https://audeering.github.io/audformat/): a header in YAML, and tables."""
